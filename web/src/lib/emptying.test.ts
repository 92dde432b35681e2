import { describe, expect, it } from "vitest";
import { byConcern, isBad, tally } from "./emptying";
import type { Evacuation } from "./lines";

const evacuation = (more: Partial<Evacuation>): Evacuation => ({
  id: "ev1", host: "h1", state: "running", outcome: "", why: "", until: 0, detail: "", todo: 0, left: 0, requested_at: 1, finished_at: 0, actor: "ada", reason: "", ask: "a", version: 1, ...more,
});

describe("how far a host is emptied", () => {
  it("counts every container once, whatever became of it", () => {
    expect(tally(evacuation({ todo: 3, moving: 2, moved: 4, failed: 1, gone: 1, left: 2 }))).toEqual({
      done: 8, bad: 3, all: 13, parts: ["4 moved", "1 failed", "2 left", "1 gone by themselves", "2 moving", "3 to come"],
    });
  });

  it("counts those of a recovery, whose left ones are over, too", () => {
    expect(tally(evacuation({ todo: 1, starting: 1, restarted: 2, left: 1, over: 4 }))).toEqual({
      done: 4, bad: 1, all: 6, parts: ["2 restarted", "1 left", "1 starting", "1 to come"],
    });
  });

  it("lists what failed first, as people count", () => {
    const going = (container: string, state: string) => ({ container, state });
    const all = [going("node1", "moved"), going("node10", "failed"), going("node9", "left"), going("node3", "to come"), going("node4", "moving")];
    expect(byConcern(all).map(({ container }) => container)).toEqual(["node9", "node10", "node4", "node3", "node1"]);
    expect(all.filter(isBad).map(({ container }) => container)).toEqual(["node10", "node9"]);
  });
});
