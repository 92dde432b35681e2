// What is not the same at two moments.

import type { Tables } from "./live.svelte";
import type { ViewName } from "./lines";

export interface Difference {
  view: ViewName;
  key: string;
  what: "new" | "gone" | "changed";
  members: { name: string; before: string; after: string }[];
}

/** Members that move with every event and say nothing by themselves. */
const NOISE = new Set(["version", "heard_at", "why", "steps"]);

export const COMPARED: readonly ViewName[] = ["host", "environment", "layer", "container"];

export function differences(before: Tables, after: Tables): Difference[] {
  return COMPARED.flatMap((view) => {
    const [old, young] = [before[view] as Map<string, object>, after[view] as Map<string, object>];
    const keys = new Set([...old.keys(), ...young.keys()]);
    return [...keys].flatMap((key) => difference(view, key, old.get(key), young.get(key)));
  });
}

function difference(view: ViewName, key: string, before?: object, after?: object): Difference[] {
  if (!before) return [{ view, key, what: "new", members: [] }];
  if (!after) return [{ view, key, what: "gone", members: [] }];
  const [old, young] = [before as Record<string, unknown>, after as Record<string, unknown>];
  const members = Object.keys(young)
    .filter((name) => !NOISE.has(name) && told(old[name]) !== told(young[name]))
    .map((name) => ({ name, before: told(old[name]), after: told(young[name]) }));
  return members.length ? [{ view, key, what: "changed", members }] : [];
}

function told(value: unknown): string {
  if (value === null || value === undefined || value === "") return "–";
  return typeof value === "object" ? JSON.stringify(value) : String(value as string | number | boolean);
}
