// Where on the map a host and its containers are: zones side by side or below each other, each a
// grid of hosts, each host a grid of places. Pure arithmetic, so that a pointer is found by it, too.

export interface Box {
  x: number;
  y: number;
  w: number;
  h: number;
}

export interface Cell extends Box {
  host: string;
  zone: string;
}

export interface Zone extends Box {
  name: string;
  hosts: number;
}

export interface Layout {
  cells: Map<string, Cell>;
  zones: Zone[];
  /** Side of a place; places are `step` apart, `columns` in a row. */
  dot: number;
  step: number;
  columns: number;
  /** Height of a host's title and of its load bar, 0 where there is no room for a title. */
  title: number;
  bar: number;
  pad: number;
  width: number;
  height: number;
}

export interface Standing {
  id: string;
  zone: string;
}

const DOT_MAX = 56;
const DOT_MIN = 3;
const ZONE_TITLE = 24;
const ZONE_GAP = 14;
/** From this size on a host has its name on it. */
const TITLE_FROM = 13;
const TITLE = 17;

interface Measures {
  dot: number;
  step: number;
  columns: number;
  title: number;
  bar: number;
  pad: number;
  gap: number;
  w: number;
  h: number;
}

/** How many places stand in a row: somewhat wider than high, with the fewest left empty. */
function across(places: number): number {
  let best = 1;
  let least = Infinity;
  for (let columns = Math.ceil(Math.sqrt(places)); columns * columns <= 2 * places + 1; columns++) {
    const empty = columns * Math.ceil(places / columns) - places;
    if (empty <= least) [best, least] = [columns, empty];
  }
  return best;
}

function measures(dot: number, places: number): Measures {
  const step = dot + Math.max(1, Math.round(dot * 0.18));
  const columns = across(places);
  const rows = Math.max(1, Math.ceil(places / columns));
  const title = dot >= TITLE_FROM ? TITLE : 0;
  const bar = dot >= TITLE_FROM ? 5 : dot >= 6 ? 3 : 2;
  const pad = dot >= TITLE_FROM ? 6 : dot >= 6 ? 3 : 2;
  const gap = dot >= TITLE_FROM ? 8 : dot >= 6 ? 4 : 2;
  const w = Math.max(columns * step - (step - dot) + 2 * pad, title ? 72 : 0);
  const h = rows * step - (step - dot) + 2 * pad + bar + 1 + title;
  return { dot, step, columns, title, bar, pad, gap, w, h };
}

/** How many hosts stand in a row of this width. */
function perRow(m: Measures, width: number): number {
  return Math.max(1, Math.floor((width + m.gap) / (m.w + m.gap)));
}

function zoneHeight(m: Measures, hosts: number, width: number): number {
  const rows = Math.ceil(hosts / perRow(m, width));
  return ZONE_TITLE + rows * (m.h + m.gap) - m.gap;
}

function heights(m: Measures, sizes: number[], columns: number, width: number): number[] {
  const side = (width - (columns - 1) * ZONE_GAP) / columns;
  const rows: number[] = [];
  sizes.forEach((size, n) => {
    const row = Math.floor(n / columns);
    rows[row] = Math.max(rows[row] ?? 0, zoneHeight(m, size, side));
  });
  return rows;
}

function total(rows: number[]): number {
  return rows.reduce((sum, one) => sum + one, 0) + ZONE_GAP * (rows.length - 1);
}

/** Choose the largest places that fit; where even the smallest do not, the map grows downwards. */
export function layout(hosts: readonly Standing[], places: number, width: number, height: number): Layout {
  const zones = byZone(hosts);
  const sizes = zones.map(([, members]) => members.length);
  let best = { m: measures(DOT_MIN, places), columns: 1 };
  search: for (let dot = DOT_MAX; dot >= DOT_MIN; dot--) {
    const m = measures(dot, places);
    for (let columns = Math.min(sizes.length, 6); columns >= 1; columns--) {
      const side = (width - (columns - 1) * ZONE_GAP) / columns;
      if (side >= m.w && total(heights(m, sizes, columns, width)) <= height) {
        best = { m, columns };
        break search;
      }
    }
  }
  return placed(zones, best.m, best.columns, width);
}

function byZone(hosts: readonly Standing[]): [string, string[]][] {
  const zones = new Map<string, string[]>();
  for (const { id, zone } of hosts) {
    const members = zones.get(zone);
    if (members) members.push(id);
    else zones.set(zone, [id]);
  }
  const order = new Intl.Collator("en", { numeric: true }).compare;
  for (const members of zones.values()) members.sort(order);
  return [...zones].sort(([a], [b]) => order(a, b));
}

/** Hosts with a name on them share what is left of the width, up to half as wide again. */
function stretched(m: Measures, inRow: number, side: number): number {
  if (!m.title) return m.w;
  return Math.min(Math.floor((side + m.gap) / inRow) - m.gap, Math.round(m.w * 1.5));
}

function placed(zones: [string, string[]][], m: Measures, columns: number, width: number): Layout {
  const side = (width - (columns - 1) * ZONE_GAP) / columns;
  const rows = heights(m, zones.map(([, members]) => members.length), columns, width);
  const cells = new Map<string, Cell>();
  const found: Zone[] = zones.map(([name, members], n) => {
    const row = Math.floor(n / columns);
    const x = (n % columns) * (side + ZONE_GAP);
    const y = rows.slice(0, row).reduce((sum, one) => sum + one + ZONE_GAP, 0);
    const inRow = perRow(m, side);
    const w = stretched(m, Math.min(inRow, members.length), side);
    members.forEach((host, k) => {
      cells.set(host, {
        host,
        zone: name,
        x: Math.round(x + (k % inRow) * (w + m.gap)),
        y: Math.round(y + ZONE_TITLE + Math.floor(k / inRow) * (m.h + m.gap)),
        w,
        h: m.h,
      });
    });
    return { name, hosts: members.length, x, y, w: side, h: zoneHeight(m, members.length, side) };
  });
  const { dot, step, title, bar, pad } = m;
  return { cells, zones: found, dot, step, columns: m.columns, title, bar, pad, width, height: total(rows) };
}

/** The place number `n` of a host. */
export function place(map: Layout, cell: Cell, n: number): Box {
  return {
    x: cell.x + map.pad + (n % map.columns) * map.step,
    y: cell.y + map.pad + map.title + Math.floor(n / map.columns) * map.step,
    w: map.dot,
    h: map.dot,
  };
}

export interface Hit {
  cell: Cell;
  /** Which place was meant, -1 where none was. */
  place: number;
}

/** What stands at a point. */
export function hit(map: Layout, x: number, y: number): Hit | null {
  for (const cell of map.cells.values()) {
    if (x < cell.x || y < cell.y || x >= cell.x + cell.w || y >= cell.y + cell.h) continue;
    const column = Math.floor((x - cell.x - map.pad) / map.step);
    const row = Math.floor((y - cell.y - map.pad - map.title) / map.step);
    const inside = column >= 0 && column < map.columns && row >= 0;
    return { cell, place: inside ? row * map.columns + column : -1 };
  }
  return null;
}
