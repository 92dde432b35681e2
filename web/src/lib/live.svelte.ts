// The region as it is: read once, then kept true by the stream of changes.
//
// Lines are kept in plain maps, for tens of thousands of them change often; what shows them looks
// at `tick`, which moves a few times a second, or hears every change (the map of the fleet).

import { all, read, said, type Asked, type Page } from "./api";
import { PLURALS, keyOf, type ViewName, type Views } from "./lines";
import { hear, type Told } from "./stream";

export type Tables = { [V in ViewName]: Map<string, Views[V]> };
export type Status = "connecting" | "live" | "lost";
export type Listener = (view: ViewName, key: string, before: object | undefined, now: object | null) => void;

interface Change {
  view: ViewName;
  key: string;
  line: object | null;
}

const NAMES = Object.keys(PLURALS) as ViewName[];
/** Events that are kept for the tail. */
const EVENTS_MAX = 2_000;
/** Finished stories that are read at the start; older ones are found on their own page. */
const STORIES = 200;
/** Nothing heard for so long means lost: the server gives a sign every 15 s. */
export const SILENCE_MS = 20_000;
const TICK_MS = 250;
const RETRY_MS = [500, 1_000, 2_000, 3_000];
const READY_MS = 3_000;

const WANTED: Partial<Record<ViewName, Asked>> = {
  container: {
    fields:
      "id,environment,layer,number,host,target,state,operable,reserved,allocated,limit,applied,disk_gib,name,address,claim,migration,restarts,moves,version,image,application",
  },
};

export function tables(): Tables {
  return Object.fromEntries(NAMES.map((name) => [name, new Map()])) as unknown as Tables;
}

/** Views of which only the latest lines are read; the others are read whole, page by page. */
const LATEST = new Set<ViewName>(["event", "operation", "migration", "evacuation", "recovery"]);

/** Read the views; the position is one that every line is at least as new as. */
export async function snapshot(into: Tables, names: readonly ViewName[], asked: Asked = {}): Promise<number> {
  const few = names.filter((view) => LATEST.has(view)).map((view) => latest(into, view, asked));
  const many = oneByOne(into, names.filter((view) => !LATEST.has(view)), asked);
  return Math.min(...(await Promise.all([many, ...few])));
}

/** Read whole views after each other: each keeps a reading open on the server while it is read. */
async function oneByOne(into: Tables, names: readonly ViewName[], asked: Asked): Promise<number> {
  let least = Infinity;
  for (const view of names) least = Math.min(least, await whole(into, view, asked));
  return least;
}

async function latest(into: Tables, view: ViewName, asked: Asked): Promise<number> {
  const page = await read<Page<object>>(`/v1/${PLURALS[view]}`, { limit: STORIES, ...asked });
  fill(into, view, page.items.reverse());
  return page.position;
}

async function whole(into: Tables, view: ViewName, asked: Asked): Promise<number> {
  const page = await all<object>(`/v1/${PLURALS[view]}`, { ...WANTED[view], ...asked });
  fill(into, view, page.items);
  return page.position;
}

function fill(into: Tables, view: ViewName, lines: object[]): void {
  const table = into[view] as Map<string, object>;
  table.clear();
  for (const line of lines) table.set(keyOf(view, line), line);
}

export class Live {
  readonly tables = tables();
  status = $state<Status>("connecting");
  /** Why the data is not what it should be, "" where all is well. */
  trouble = $state("");
  position = $state(0);
  heardAt = $state(0);
  /** When the lines were last known to be true. */
  trueAt = $state(0);
  tick = $state(0);
  now = $state(Date.now());
  rate = $state(0);
  ready = $state(true);
  #listeners = new Set<Listener>();
  #resets = new Set<() => void>();
  #told = 0;
  #stirred = false;
  #heard: number[] = [];

  hear(listener: Listener, reset: () => void): () => void {
    this.#listeners.add(listener);
    this.#resets.add(reset);
    return () => {
      this.#listeners.delete(listener);
      this.#resets.delete(reset);
    };
  }

  start(): void {
    setInterval(() => this.#breathe(), TICK_MS);
    setInterval(() => void this.#look(), READY_MS);
    void this.#run();
  }

  /** Whether what is shown is how the region is now. */
  get current(): boolean {
    return this.status === "live" && this.ready;
  }

  async #run(): Promise<void> {
    for (let failures = 0; ; ) {
      const begun = Date.now();
      try {
        await this.#follow();
      } catch (error) {
        this.trouble = said(error);
      }
      if (this.status === "live") this.status = "lost";
      failures = Date.now() - begun > SILENCE_MS ? 0 : failures + 1;
      await new Promise((go) => setTimeout(go, RETRY_MS[Math.min(failures, RETRY_MS.length) - 1] ?? RETRY_MS[0]));
    }
  }

  /** Read all of it, then hear what changes, until the stream ends. */
  async #follow(): Promise<void> {
    let after = await snapshot(this.tables, NAMES);
    this.#reset(after);
    for (;;) {
      const ended = await this.#listen(after);
      if (ended === "resync") {
        after = await snapshot(this.tables, NAMES);
        this.#reset(after);
      } else {
        throw new Error(ended);
      }
    }
  }

  #reset(position: number): void {
    this.position = position;
    this.#alive();
    for (const reset of this.#resets) reset();
    this.tick++;
  }

  async #listen(after: number): Promise<string> {
    const stop = new AbortController();
    let ended = "the stream of changes ended";
    const guard = setInterval(() => {
      if (Date.now() - this.heardAt > SILENCE_MS) stop.abort(new Error("nothing was heard for 20 s"));
    }, 1_000);
    this.heardAt = Date.now();
    try {
      await hear(`/v1/changes?views=${NAMES.join(",")}&after=${after}`, stop.signal, (told) => {
        this.#alive();
        if (told.event === "change") this.#take(told);
        else if (told.event === "resync") ended = "resync";
        else if (told.event === "server-closing") ended = "the read side is stopping";
      });
    } finally {
      clearInterval(guard);
    }
    return ended;
  }

  #alive(): void {
    this.heardAt = this.trueAt = Date.now();
    this.status = "live";
    this.trouble = "";
  }

  #take(told: Told): void {
    const { position, changes } = JSON.parse(told.data) as { position: number; changes: Change[] };
    for (const { view, key, line } of changes) {
      const table = this.tables[view] as Map<string, object> | undefined;
      if (!table) continue;
      const before = table.get(key);
      if (line === null) table.delete(key);
      else table.set(key, line);
      for (const listener of this.#listeners) listener(view, key, before, line);
    }
    this.#told += Math.max(0, position - this.position);
    this.position = position;
    this.#stirred = true;
    this.#forget();
  }

  #forget(): void {
    const events = this.tables.event;
    for (const key of events.keys()) {
      if (events.size <= EVENTS_MAX) break;
      events.delete(key);
    }
  }

  #breathe(): void {
    this.now = Date.now();
    this.#heard.push(this.#told);
    this.#told = 0;
    if (this.#heard.length > 12) this.#heard.shift();
    const total = this.#heard.reduce((sum, one) => sum + one, 0);
    this.rate = Math.round((total * 1_000) / (this.#heard.length * TICK_MS));
    if (this.#stirred) this.tick++;
    this.#stirred = false;
  }

  /** Ask whether the views follow the journal: a stream may be open and have nothing to tell. */
  async #look(): Promise<void> {
    if (this.status !== "live") return;
    try {
      const response = await fetch("/readyz", { signal: AbortSignal.timeout(READY_MS), cache: "no-store" });
      this.ready = response.ok;
      if (!response.ok) this.trouble = ((await response.json()) as { detail?: string }).detail ?? "the views are not ready";
    } catch {
      this.ready = false;
      this.trouble = "the read API does not answer";
    }
  }
}

export const live = new Live();
