import { describe, expect, it } from "vitest";
import { ago, brief, clock, lasts } from "./format";

describe("durations", () => {
  it.each([
    [200, "200ms"],
    [6_900, "6.9s"],
    [7_000, "7s"],
    [80_000, "1m20s"],
    [7_500_000, "2h05m"],
    [260_000_000, "3d"],
  ])("%i ms are written %s, as the command line writes it", (ms, said) => {
    expect(lasts(ms)).toBe(said);
  });

  it("counts ages in whole steps, and never below nothing", () => {
    expect(ago(1_000, 4_900)).toBe("3s");
    expect(ago(1_000, 121_000)).toBe("2m");
    expect(ago(9_000, 1_000)).toBe("0s");
    expect(ago(0, 1_000)).toBe("–");
  });

  it("writes moments in UTC", () => {
    expect(clock(Date.UTC(2026, 10, 21, 14, 3, 22, 118))).toBe("14:03:22.118");
  });

  it("writes the fields of an event in one line", () => {
    expect(brief({ host: "h1", why: { n: 1 } })).toBe('host=h1  why={"n":1}');
  });
});
