// The way back: the commands that undo one, as the read API tells them, and how each is sent.

import type { Reply } from "./api";

export interface WayBack {
  type: string;
  body: Record<string, unknown>;
  back: { of: string; member: string; now: unknown; then: unknown }[];
  note: string;
  against: string;
}

export interface WaysBack {
  position: number;
  asked: { position: number; at: number; command: string; actor: string; ask: string; reason: string }[];
  commands: WayBack[];
  left: { of: string; why: string; member: string }[];
  unlike: string[];
}

export type Send = (body: Record<string, unknown>) => Promise<Reply>;

/** Whether all of it would be done, as the fork showed. */
export function isGood(ways: WaysBack): boolean {
  return ways.commands.length > 0 && ways.commands.every(({ against }) => !against);
}

/** Plan a command, then send it held to that plan: what has changed meanwhile is refused, not done. */
export async function sent(way: WayBack, reason: string, send: Send): Promise<Reply> {
  const asked = { type: way.type, ...way.body, reason };
  const plan = (await send({ ...asked, dry_run: true })).plan_name;
  return send({ ...asked, expect_plan: plan, id: `undo-${plan}` });
}

/** What a command begins, to wait for. */
export function begun(reply: Reply): string[] {
  if (reply.status !== "accepted") return [];
  return reply.operation_ids?.length ? reply.operation_ids : reply.operation_id ? [reply.operation_id] : [];
}

/** A member's value so that a line holds it. */
export function worth(member: string, value: unknown): string {
  if (member === "there") return value === null ? "gone" : "there";
  return typeof value === "string" ? value : JSON.stringify(value).slice(0, 80);
}
