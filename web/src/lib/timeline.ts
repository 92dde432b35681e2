// An operation as bars over time: what each step did when. Pure, so that it can be tested.

import type { Migration, Operation, Step } from "./lines";

export interface Bar {
  stage: string;
  from: number;
  to: number;
  /** It goes on: its end is now. */
  open: boolean;
}

export interface Lane {
  name: string;
  kind: string;
  outcome: string;
  detail: string;
  bars: Bar[];
}

export interface Timeline {
  from: number;
  to: number;
  lanes: Lane[];
  /** Waits between steps: a delay that was asked for. */
  pauses: Bar[];
}

export const STAGES: readonly { name: string; says: string }[] = [
  { name: "opening", says: "takes the container" },
  { name: "unrouting", says: "out of DNS and balancer" },
  { name: "draining", says: "waits until nobody is sent there" },
  { name: "working", says: "the work itself" },
  { name: "checking", says: "until it is healthy" },
  { name: "routing", says: "back into DNS and balancer" },
];

/** The stages of a step, each until the next began. */
export function bars(step: Step, now: number): Bar[] {
  const end = step.finished_at || now;
  const found = step.stages.map(([stage, from], n): Bar => {
    const next = step.stages[n + 1]?.[1];
    return { stage, from, to: next ?? Math.max(from, end), open: next === undefined && !step.finished_at };
  });
  return found.filter(({ from, to, open }) => to > from || open);
}

export function ofOperation(line: Operation, now: number): Timeline {
  const from = line.started_at || line.requested_at;
  const to = Math.max(from + 1, line.finished_at || now);
  const lanes = line.steps.map((step): Lane => ({
    name: step.container,
    kind: step.kind,
    outcome: step.outcome || (step.started_at ? step.stage : "to come"),
    detail: step.detail,
    bars: bars(step, now),
  }));
  return { from, to, lanes, pauses: line.sequential && line.delay_ms ? pauses(line, now) : [] };
}

/** Between the end of a step and the begin of the next one, where a delay was asked for. */
function pauses(line: Operation, now: number): Bar[] {
  const begun = line.steps.filter(({ started_at }) => started_at);
  const between = begun.slice(1).flatMap((step, n): Bar[] => {
    const before = begun[n];
    return before?.finished_at && step.started_at > before.finished_at
      ? [{ stage: "delay", from: before.finished_at, to: step.started_at, open: false }]
      : [];
  });
  const last = begun.at(-1);
  if (line.state === "delaying" && last?.finished_at) between.push({ stage: "delay", from: last.finished_at, to: now, open: true });
  return between;
}

export function ofMigration(line: Migration, now: number): Timeline {
  const from = line.granted_at || line.requested_at;
  const to = Math.max(from + 1, line.finished_at || now, from + (line.phases.at(-1)?.after_ms ?? 0));
  const found = line.phases.map(({ phase, after_ms }, n): Bar => {
    const next = line.phases[n + 1]?.after_ms;
    return { stage: phase, from: from + after_ms, to: next === undefined ? to : from + next, open: next === undefined && !line.finished_at };
  });
  const lane = { name: line.container, kind: `${line.source} → ${line.target || "?"}`, outcome: line.state, detail: line.detail, bars: found };
  return { from, to, lanes: [lane], pauses: [] };
}

/** Round marks of a time axis, at most `most` of them. */
export function marks(lasts: number, most: number): number[] {
  const steps = [100, 200, 500, 1_000, 2_000, 5_000, 10_000, 15_000, 30_000, 60_000, 120_000, 300_000, 600_000, 1_800_000, 3_600_000];
  const step = steps.find((one) => lasts / one <= most) ?? Math.ceil(lasts / most);
  return Array.from({ length: Math.floor(lasts / step) + 1 }, (_, n) => n * step);
}
