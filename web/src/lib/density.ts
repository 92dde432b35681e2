// How dense history is, as bars over time, and which of them a position is in. Pure.

export interface Bucket {
  at: number;
  events: number;
  position: number;
}

export interface Density {
  position: number;
  begin: number;
  end: number;
  width_ms: number;
  buckets: Bucket[];
}

/** The stretches in which something happened: those that can be gone to. */
export function filled(density: Density): Bucket[] {
  return density.buckets.filter(({ events }) => events > 0);
}

/** Which of these a position is in; positions beyond them are in the last. */
export function indexAt(buckets: readonly Bucket[], position: number): number {
  const found = buckets.findIndex((one) => position <= one.position);
  return found < 0 ? buckets.length - 1 : found;
}

/** The stretch that a part of the strip's width shows, else the last one before it in which something happened. */
export function pointed(density: Density, share: number): Bucket | undefined {
  const n = Math.min(density.buckets.length - 1, Math.max(0, Math.floor(share * density.buckets.length)));
  return density.buckets.slice(0, n + 1).findLast(({ events }) => events > 0);
}

/** Heights from 0 to 1. A root, so that one event is seen beside a thousand. */
export function heights(density: Density): number[] {
  const most = Math.max(1, ...density.buckets.map(({ events }) => events));
  return density.buckets.map(({ events }) => Math.sqrt(events / most));
}
