import { describe, expect, it } from "vitest";
import { hit, layout, place } from "./layout";

const fleet = (hosts: number, zones: number) => Array.from({ length: hosts }, (_, n) => ({ id: `h${n + 1}`, zone: `z${n % zones}` }));

describe("the map", () => {
  it.each([
    [12, 3, 5, 1_256, 640],
    [1_200, 4, 20, 1_256, 640],
    [1, 1, 1, 360, 600],
    [300, 3, 12, 366, 700],
  ])("of %i hosts in %i zones overlaps nowhere and finds everything again", (hosts, zones, places, width, height) => {
    const map = layout(fleet(hosts, zones), places, width, height);
    expect(map.cells.size).toBe(hosts);
    for (const cell of map.cells.values()) {
      expect(cell.x + cell.w).toBeLessThanOrEqual(width + 1);
      expect(hit(map, cell.x + 1, cell.y + 1)?.cell.host).toBe(cell.host);
      for (const n of [0, places - 1]) {
        const box = place(map, cell, n);
        expect(hit(map, box.x, box.y)).toEqual({ cell, place: n });
        expect(box.y + box.h).toBeLessThanOrEqual(cell.y + cell.h);
      }
    }
  });

  it("shows 1,200 hosts of 20 containers without scrolling", () => {
    expect(layout(fleet(1_200, 4), 20, 1_256, 640).height).toBeLessThanOrEqual(640);
  });

  it("keeps zones and hosts in the order that people count", () => {
    const map = layout([{ id: "h10", zone: "b" }, { id: "h9", zone: "b" }, { id: "h1", zone: "a" }], 3, 800, 600);
    expect(map.zones.map(({ name }) => name)).toEqual(["a", "b"]);
    expect(map.cells.get("h9")!.x).toBeLessThan(map.cells.get("h10")!.x + map.cells.get("h10")!.w * 2);
  });

  it("finds nothing between hosts", () => {
    expect(hit(layout(fleet(4, 1), 3, 800, 600), 799, 599)).toBeNull();
  });
});
