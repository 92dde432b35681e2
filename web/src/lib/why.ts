// Why something happened: from an event to the saga it is part of, to the command somebody asked.

import { ProblemError, read } from "./api";
import type { Event } from "./lines";

export interface Link {
  kind: string;
  id: string;
  line: Record<string, unknown>;
}

const SAGAS: Record<string, [string, string]> = {
  op: ["operation", "operations"],
  mv: ["migration", "migrations"],
  ev: ["evacuation", "evacuations"],
  rc: ["recovery", "recoveries"],
  gr: ["growth", "growths"],
};
const LINKS_MAX = 20;

/** The sagas that an event or a line names as what it belongs to, nearest first. */
export function sagas(line: Record<string, unknown>): string[] {
  const data = (line.data ?? {}) as Record<string, unknown>;
  const stream = String(line.stream ?? "");
  const named = [line.story, data.saga, data.operation, data.migration, data.evacuation, data.recovery, stream.split(".")[1]];
  const found = named.filter((name): name is string => typeof name === "string" && name.slice(0, 2) in SAGAS && /^[a-z]+\d+$/.test(name));
  return [...new Set(found)];
}

/** The ask without the suffix that a saga gave it. */
export function root(ask: string): string {
  return ask.split("/")[0] ?? ask;
}

/** Follow an event to whoever asked. */
export async function chain(event: Event, asOf?: number): Promise<Link[]> {
  const links: Link[] = [{ kind: "event", id: String(event.position), line: { ...event } }];
  const seen = new Set<string>();
  for (let n = 0; n < LINKS_MAX; n++) {
    const last = links.at(-1) as Link;
    if (last.kind === "command") break;
    const next = await cause(last, seen, asOf);
    if (!next) break;
    links.push(next);
  }
  return links;
}

async function cause(link: Link, seen: Set<string>, asOf?: number): Promise<Link | null> {
  const ask = root(String(link.line.ask ?? ""));
  const ways: [string, string, string][] = [];
  if (/^[\x21-\x7e]+$/.test(ask)) ways.push(["command", "commands", ask]);
  for (const name of sagas(link.line)) {
    const [kind, plural] = SAGAS[name.slice(0, 2)] as [string, string];
    ways.push([kind, plural, name]);
  }
  for (const [kind, plural, id] of ways) {
    if (seen.has(`${kind} ${id}`)) continue;
    seen.add(`${kind} ${id}`);
    try {
      const line = await read<Record<string, unknown>>(`/v1/${plural}/${encodeURIComponent(id)}`, {
        as_of: asOf,
        tenant: kind === "command" ? String(link.line.tenant ?? "") || undefined : undefined,
      });
      return { kind, id, line };
    } catch (error) {
      if (!(error instanceof ProblemError) || error.problem.status !== 404) throw error;
    }
  }
  return null;
}
