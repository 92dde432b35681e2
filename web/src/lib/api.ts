// Questions to the read API, and commands handed to it.

export interface Problem {
  code: string;
  status: number;
  title: string;
  detail: string;
  path?: string;
  retryable?: boolean;
  facts?: Record<string, unknown>;
  next?: string;
}

export interface Page<T> {
  items: T[];
  position: number;
  next?: string;
}

export type Asked = Record<string, string | number | undefined>;

const LIMIT = 1000;
/** How long a question may take before it counts as unanswered. */
const PATIENCE_MS = 30_000;

export class ProblemError extends Error {
  constructor(readonly problem: Problem) {
    super(`${problem.code}: ${problem.detail}`);
  }
}

async function answered<T>(response: Response): Promise<T> {
  if (response.ok) return (await response.json()) as T;
  const text = await response.text();
  let problem: Problem;
  try {
    problem = JSON.parse(text) as Problem;
  } catch {
    problem = { code: "internal", status: response.status, title: response.statusText, detail: text.slice(0, 200) };
  }
  throw new ProblemError(problem);
}

export function query(asked: Asked): string {
  const given = Object.entries(asked).flatMap(([name, value]) =>
    value === undefined || value === "" ? [] : [[name, String(value)]],
  );
  return given.length ? `?${new URLSearchParams(given)}` : "";
}

/** Read one answer. Throws `ProblemError` where it is refused, and whatever `fetch` throws. */
export async function read<T>(path: string, asked: Asked = {}): Promise<T> {
  const response = await fetch(`${path}${query(asked)}`, { signal: AbortSignal.timeout(PATIENCE_MS) });
  return answered<T>(response);
}

/** Read a whole list, page by page; all pages are true at one position. */
export async function all<T>(path: string, asked: Asked = {}): Promise<Page<T>> {
  let page = await read<Page<T>>(path, { limit: LIMIT, ...asked });
  const items = page.items;
  while (page.next) {
    page = await read<Page<T>>(path, { limit: LIMIT, ...asked, cursor: page.next });
    items.push(...page.items);
  }
  return { items, position: page.position };
}

export interface Reply {
  status: "accepted" | "done" | "unchanged" | "planned";
  command_id: string;
  operation_id?: string;
  operation_ids?: string[];
  position: number;
  notices?: string[];
  plan?: { stream: string; type: string; data: Record<string, unknown> }[];
  plan_name?: string;
  forecast?: Forecast;
  apply?: Record<string, unknown>;
}

export interface Forecast {
  duration_ms: number;
  whole: boolean;
  endings: { saga: string; outcome: string; detail?: string }[];
  time: { what: string; ms: number; times: number; source: string }[];
  steps: { container: string; kind: string; at_ms: number; for_ms: number; outcome: string; saga?: string; detail?: string }[];
  moves: { container: string; kind: string; at_ms: number; source?: string; target?: string; freeze_ms?: number }[];
  hosts: { host: string; cloudlets: number; before: number; after: number; containers_before: number; containers_after: number }[];
  dns: { container: string; names: string[]; at_ms: number; for_ms: number | null }[];
}

/** Ask for a command. Throws `ProblemError` where it is refused. */
export async function command(body: Record<string, unknown>): Promise<Reply> {
  const response = await fetch("/v1/commands", {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify(body),
    signal: AbortSignal.timeout(PATIENCE_MS),
  });
  return answered<Reply>(response);
}

/** What went wrong, in words for the page. */
export function said(error: unknown): string {
  if (error instanceof ProblemError) return error.message;
  if (error instanceof DOMException && error.name === "TimeoutError") return "no answer within 30 s";
  if (error instanceof TypeError) return "the read API does not answer";
  return String(error);
}
