// What the read API says, as far as the page looks at it. The whole is in /openapi.json.

export interface Host {
  id: string;
  state: string;
  zone: string;
  labels: Record<string, string>;
  cloudlets: number;
  used: number;
  free: number;
  disk_gib: number;
  used_disk: number;
  free_disk: number;
  containers: number;
  leaving: number;
  arriving: number;
  load_mark: number | null;
  note: string;
  version: number;
  term: number;
  heard_at: number;
  live: string;
  unable: string;
}

export interface Placing {
  policy: string;
  hosts: number;
  feasible: number;
  objections?: Record<string, number>;
  score?: number[];
  losers?: [string, number[]][];
}

export interface Container {
  id: string;
  environment: string;
  layer: string;
  number: number;
  host: string;
  target: string;
  state: string;
  operable: boolean;
  reserved: number;
  allocated: number;
  limit: number;
  applied: number;
  disk_gib: number;
  name: string;
  address: string;
  claim: string;
  migration: string;
  restarts: number;
  moves: number;
  version: number;
  why?: Placing | null;
  image: string;
  application: string;
}

export interface Step {
  container: string;
  kind: string;
  stage: string;
  since: number;
  outcome: string;
  detail: string;
  started_at: number;
  finished_at: number;
  stages: [string, number][];
}

export interface Operation {
  id: string;
  kind: string;
  environment: string;
  layer: string;
  state: string;
  outcome: string;
  detail: string;
  sequential: boolean;
  delay_ms: number;
  accept_downtime: boolean;
  paused: boolean;
  cancelled: boolean;
  rolling_back: boolean;
  until: number;
  todo: number;
  done: number;
  failed: number;
  skipped: number;
  requested_at: number;
  started_at: number;
  finished_at: number;
  ask: string;
  actor: string;
  reason: string;
  version: number;
  steps: Step[];
}

export interface Migration {
  id: string;
  container: string;
  source: string;
  target: string;
  state: string;
  waits_for: string;
  detail: string;
  deadline_ms: number;
  phases: { phase: string; after_ms: number }[];
  freeze_ms: number;
  total_ms: number;
  requested_at: number;
  granted_at: number;
  finished_at: number;
  ask: string;
  actor: string;
  reason: string;
}

/** One container of an evacuation or a recovery; a recovery says `host` for where it is now. */
export interface Going {
  container: string;
  state: string;
  target?: string;
  migration?: string;
  tries?: number;
  detail?: string;
}

/** An evacuation, a way back, or a recovery (which says `restarted` and `over`, not `moved` and `gone`). */
export interface Evacuation {
  id: string;
  kind?: string;
  host: string;
  targets?: string[];
  live?: boolean;
  at_once?: number;
  state: string;
  outcome: string;
  why: string;
  until: number;
  detail: string;
  missing_cloudlets?: number;
  missing_disk_gib?: number;
  todo: number;
  moving?: number;
  moved?: number;
  failed?: number;
  gone?: number;
  starting?: number;
  restarted?: number;
  over?: number;
  left: number;
  requested_at: number;
  finished_at: number;
  actor: string;
  reason: string;
  ask: string;
  version: number;
  containers?: Going[];
}

export interface Environment {
  id: string;
  state: string;
  domain: string;
  tenant: string;
  groups: Record<string, string>;
  layers: string[];
  containers: number;
  operable: number;
  version: number;
}

export interface Layer {
  environment: string;
  name: string;
  state: string;
  dns: string;
  role: string;
  image: string;
  count: number;
  operable: number;
  reserved: number;
  limit: number;
  disk_gib: number;
  stateful: boolean;
  anti_affinity: string;
  policy: string;
  containers: string[];
  operation: string;
  queue: string[];
  version: number;
}

export interface Event {
  position: number;
  at: number;
  stream: string;
  version: number;
  type: string;
  ask: string;
  command: string;
  actor: string;
  tenant: string;
  cause: string;
  story: string;
  reason: string;
  data: Record<string, unknown>;
}

export interface Command {
  id: string;
  command: string;
  actor: string;
  tenant: string;
  at: number;
  answer: string;
  code: string;
  detail: string;
  operations: string[];
  reason: string;
  events: number;
  position: number;
}

export interface Watch {
  id: string;
  jurors: string[];
  silent: string[];
  since: number;
  alarm: boolean;
  why: string;
}

export interface Trigger {
  id: string;
  environment: string;
  layer: string;
  resource: string;
  state: string;
}

/** The views that the page follows, and the shape of their lines. */
export interface Views {
  host: Host;
  container: Container;
  layer: Layer;
  environment: Environment;
  operation: Operation;
  migration: Migration;
  evacuation: Evacuation;
  recovery: Evacuation;
  watch: Watch;
  trigger: Trigger;
  event: Event;
}

export type ViewName = keyof Views;

export const PLURALS: Record<ViewName, string> = {
  host: "hosts",
  container: "containers",
  layer: "layers",
  environment: "environments",
  operation: "operations",
  migration: "migrations",
  evacuation: "evacuations",
  recovery: "recoveries",
  watch: "watches",
  trigger: "triggers",
  event: "events",
};

/** How a line is called in its view, as the stream of changes calls it. */
export function keyOf(view: ViewName, line: object): string {
  if (view === "layer") {
    const { environment, name } = line as Layer;
    return `${environment}/${name}`;
  }
  if (view === "event") return String((line as Event).position);
  return (line as { id: string }).id;
}

/** The number in an id: 17 of node17. Names without one are all 0. */
export function numberOf(id: string): number {
  return Number(/\d+$/.exec(id)?.[0] ?? 0);
}

/** Compare ids as people count: node9 before node10, h02 before h10. */
export function byId(a: string, b: string): number {
  return a.localeCompare(b, "en", { numeric: true });
}
