// Numbers, durations and moments as people read them.

export function count(n: number): string {
  return n.toLocaleString("en");
}

/** A duration, as exactly as it is worth: 200ms, 6.9s, 1m20s, 2h05m, as the command line writes it. */
export function lasts(ms: number): string {
  if (ms < 1_000) return `${Math.round(ms)}ms`;
  if (ms < 60_000) return `${(ms / 1_000).toFixed(1).replace(/\.0$/, "")}s`;
  if (ms < 3_600_000) return `${Math.floor(ms / 60_000)}m${pad(Math.floor((ms % 60_000) / 1_000))}s`;
  if (ms < 48 * 3_600_000) return `${Math.floor(ms / 3_600_000)}h${pad(Math.floor((ms % 3_600_000) / 60_000))}m`;
  return `${Math.floor(ms / 86_400_000)}d`;
}

/** How long ago, in whole steps: 3s, 2m, 5h, 4d. */
export function ago(at: number, now: number): string {
  if (!at) return "–";
  const seconds = Math.max(0, Math.floor((now - at) / 1_000));
  if (seconds < 60) return `${seconds}s`;
  if (seconds < 3_600) return `${Math.floor(seconds / 60)}m`;
  if (seconds < 48 * 3_600) return `${Math.floor(seconds / 3_600)}h`;
  return `${Math.floor(seconds / 86_400)}d`;
}

function pad(n: number): string {
  return String(n).padStart(2, "0");
}

/** A time of day with milliseconds, in UTC: 14:03:22.118. */
export function clock(at: number): string {
  return new Date(at).toISOString().slice(11, 23);
}

/** A moment in UTC: 2026-11-21 14:03:22. */
export function moment(at: number): string {
  return at ? new Date(at).toISOString().slice(0, 19).replace("T", " ") : "–";
}

/** The fields of an event in one line. */
export function brief(data: Record<string, unknown>): string {
  return Object.entries(data)
    .map(([name, value]) => `${name}=${typeof value === "object" ? JSON.stringify(value) : String(value)}`)
    .join("  ");
}
