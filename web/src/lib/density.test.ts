import { describe, expect, it } from "vitest";
import { filled, heights, indexAt, pointed, type Density } from "./density";

const history: Density = {
  position: 110, begin: 1_000, end: 1_399, width_ms: 100,
  buckets: [{ at: 1_000, events: 4, position: 4 }, { at: 1_100, events: 0, position: 4 }, { at: 1_200, events: 100, position: 104 }, { at: 1_300, events: 6, position: 110 }],
};

describe("how dense history is", () => {
  it("goes from one stretch with events to the next", () => {
    const some = filled(history);
    expect(some.map(({ position }) => position)).toEqual([4, 104, 110]);
    expect([1, 4, 5, 104, 105, 110, 999].map((position) => indexAt(some, position))).toEqual([0, 0, 1, 1, 2, 2, 2]);
  });

  it("leads from a place on the strip to what had happened by then", () => {
    expect([0, 0.2, 0.3, 0.6, 1].map((share) => pointed(history, share)?.position)).toEqual([4, 4, 4, 104, 110]);
    expect(pointed({ ...history, buckets: [] }, 0.5)).toBeUndefined();
  });

  it("shows one event beside a hundred", () => {
    const [few, none, most] = heights(history);
    expect([few, none, most]).toEqual([0.2, 0, 1]);
  });
});
