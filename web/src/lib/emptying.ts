// A host that is emptied, or whose containers are restarted elsewhere: how far, and what failed. Pure.

import { byId, type Evacuation, type Going } from "./lines";

export interface Tally {
  /** Containers of which it is known how it ended; `bad` of them not as was asked. */
  done: number;
  bad: number;
  all: number;
  /** In words, what there is any of: "2 moved", "1 to come". */
  parts: string[];
}

const WORDS: [keyof Evacuation, string][] = [
  ["moved", "moved"],
  ["restarted", "restarted"],
  ["failed", "failed"],
  ["left", "left"],
  ["gone", "gone by themselves"],
  ["moving", "moving"],
  ["starting", "starting"],
  ["todo", "to come"],
];

/** Count the containers of an evacuation, a way back or a recovery. */
export function tally(one: Evacuation): Tally {
  const of = (name: keyof Evacuation): number => Number(one[name] ?? 0);
  // A recovery counts in `over` all that ended, what was left among them.
  const done = one.over ?? of("moved") + of("failed") + of("gone") + of("left");
  return {
    done,
    bad: of("failed") + of("left"),
    all: done + of("moving") + of("starting") + of("todo"),
    parts: WORDS.filter(([name]) => of(name) > 0).map(([name, word]) => `${of(name)} ${word}`),
  };
}

/** What came out well, or is not over. */
const FINE = new Set(["moved", "restarted", "gone", "to come", "moving", "starting", "checking", "routing"]);

export function isBad(one: Going): boolean {
  return !FINE.has(one.state);
}

const LAST = ["moved", "restarted", "gone"];

/** Those that failed first, then what goes on, then what is to come, then what is done. */
export function byConcern(containers: readonly Going[]): Going[] {
  const rank = (one: Going): number => (isBad(one) ? 0 : one.state === "to come" ? 2 : LAST.includes(one.state) ? 3 : 1);
  return [...containers].sort((a, b) => rank(a) - rank(b) || byId(a.container, b.container));
}
