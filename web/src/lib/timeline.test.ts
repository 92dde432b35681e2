import { describe, expect, it } from "vitest";
import type { Operation, Step } from "./lines";
import { bars, marks, ofOperation } from "./timeline";

const step = (container: string, started_at: number, finished_at: number, stages: [string, number][]): Step => ({
  container, kind: "restart", stage: finished_at ? "" : (stages.at(-1)?.[0] ?? ""), since: 0, outcome: finished_at ? "done" : "", detail: "", started_at, finished_at, stages,
});

const operation = (steps: Step[], more: Partial<Operation> = {}): Operation => ({
  id: "op1", kind: "restart", environment: "shop", layer: "app", state: "running", outcome: "", detail: "", sequential: true, delay_ms: 1_000,
  accept_downtime: false, paused: false, cancelled: false, rolling_back: false, until: 0, todo: 0, done: 0, failed: 0, skipped: 0,
  requested_at: 100, started_at: 100, finished_at: 0, ask: "", actor: "", reason: "", version: 1, steps, ...more,
});

describe("a timeline", () => {
  it("shows each stage until the next began, and the last one until the end", () => {
    const one = step("node1", 100, 400, [["opening", 100], ["working", 100], ["checking", 250]]);
    expect(bars(one, 999)).toEqual([
      { stage: "working", from: 100, to: 250, open: false },
      { stage: "checking", from: 250, to: 400, open: false },
    ]);
  });

  it("shows what goes on as open until now", () => {
    expect(bars(step("node1", 100, 0, [["working", 100]]), 180)).toEqual([{ stage: "working", from: 100, to: 180, open: true }]);
  });

  it("shows the delays between steps, also the one that goes on", () => {
    const steps = [step("node1", 100, 400, []), step("node2", 1_400, 1_600, []), step("node3", 0, 0, [])];
    expect(ofOperation(operation(steps, { state: "delaying" }), 2_000).pauses).toEqual([
      { stage: "delay", from: 400, to: 1_400, open: false },
      { stage: "delay", from: 1_600, to: 2_000, open: true },
    ]);
  });

  it("has round marks, and not too many", () => {
    expect(marks(21_000, 6)).toEqual([0, 5_000, 10_000, 15_000, 20_000]);
    for (const lasts of [1, 50, 999, 123_456, 9e7]) expect(marks(lasts, 6).length).toBeLessThanOrEqual(8);
  });
});
