// The map of the fleet: two canvases, one above the other. Below, hosts and containers; only the
// cells that changed are painted again. Above, what moves: arcs of migrations, the pointer, the choice.

import { byId, numberOf, type Container, type Host } from "../lib/lines";
import { hit, layout, place, type Box, type Cell, type Layout } from "./layout";
import { paintCell, paintZone, type Style, type Theme } from "./paint";

export interface Source {
  host: ReadonlyMap<string, Host>;
  container: ReadonlyMap<string, Container>;
}

export interface Choice {
  kind: "host" | "container";
  id: string;
}

export interface Calls {
  hover: (choice: Choice | null, at: { x: number; y: number }) => void;
  choose: (choice: Choice | null) => void;
}

/** Canvases larger than this are drawn with fewer pixels: phones refuse larger ones. */
const PIXELS_MAX = 16_000_000;
const DASH_PER_MS = 0.03;

export class FleetMap {
  #base: CanvasRenderingContext2D;
  #over: CanvasRenderingContext2D;
  #source: Source = { host: new Map(), container: new Map() };
  #map: Layout = layout([], 1, 100, 100);
  #here = new Map<string, string[]>();
  #coming = new Map<string, Set<string>>();
  #moving = new Set<string>();
  #dirty = new Set<string>();
  #all = true;
  #above = true;
  #cleared = true;
  #frame = 0;
  #hover: Choice | null = null;
  #chosen: Choice | null = null;
  #width = 0;
  #height = 0;
  #places = 0;
  style: Style;
  still = false;
  frames = 0;

  constructor(
    private readonly base: HTMLCanvasElement,
    private readonly over: HTMLCanvasElement,
    private readonly calls: Calls,
    theme: Theme,
  ) {
    this.#base = context(base);
    this.#over = context(over);
    this.style = { theme, colouring: "state", wanted: () => true, filtered: false };
  }

  /** Show another region, or the same one read anew. */
  show(source: Source): void {
    this.#source = source;
    this.#here.clear();
    this.#coming.clear();
    this.#moving.clear();
    for (const one of source.container.values()) this.#put(one);
    this.arrange();
  }

  resize(width: number, height: number): void {
    if (width === this.#width && height === this.#height) return;
    this.#width = width;
    this.#height = height;
    this.arrange();
  }

  /** Work out where everything is, and paint it all. */
  arrange(): void {
    if (!this.#width) return;
    this.#places = this.#most();
    const hosts = [...this.#source.host.values()];
    this.#map = layout(hosts, this.#places, this.#width, this.#height);
    const high = Math.max(this.#map.height + 2, 1);
    const wish = Math.min(window.devicePixelRatio || 1, 2);
    const ratio = Math.min(wish, Math.sqrt(PIXELS_MAX / (this.#width * high)));
    for (const canvas of [this.base, this.over]) {
      canvas.width = Math.round(this.#width * ratio);
      canvas.height = Math.round(high * ratio);
      canvas.style.width = `${this.#width}px`;
      canvas.style.height = `${high}px`;
    }
    this.#base.setTransform(ratio, 0, 0, ratio, 0, 0);
    this.#over.setTransform(ratio, 0, 0, ratio, 0, 0);
    this.repaint();
  }

  repaint(): void {
    this.#all = this.#above = true;
    this.#wake();
  }

  /** Most containers that a host has or awaits; a few more, so that one more moves nothing. */
  #most(): number {
    let most = 3;
    for (const host of this.#source.host.keys()) {
      const n = (this.#here.get(host)?.length ?? 0) + (this.#coming.get(host)?.size ?? 0);
      if (n > most) most = n;
    }
    return most < 12 ? most + 1 : Math.ceil(most / 4) * 4;
  }

  changedHost(id: string, before: object | undefined, now: object | null): void {
    const zone = (line: object | null | undefined) => (line as Host | null | undefined)?.zone;
    if (!before || !now || zone(before) !== zone(now)) this.arrange();
    else this.#soil(id);
  }

  changedContainer(before: Container | undefined, now: Container | null): void {
    if (before) this.#take(before);
    if (now) this.#put(now);
    for (const one of [before, now]) {
      if (one) this.#soil(one.host);
      if (one?.target) this.#soil(one.target);
    }
    const host = now?.host;
    if (host && (this.#here.get(host)?.length ?? 0) + (this.#coming.get(host)?.size ?? 0) > this.#places) this.arrange();
  }

  #put(one: Container): void {
    const here = this.#here.get(one.host);
    if (!here) this.#here.set(one.host, [one.id]);
    else if (!here.includes(one.id)) {
      here.push(one.id);
      here.sort((a, b) => numberOf(a) - numberOf(b));
    }
    if (one.target) {
      this.#moving.add(one.id);
      const coming = this.#coming.get(one.target) ?? new Set();
      this.#coming.set(one.target, coming.add(one.id));
      this.#above = true;
    }
  }

  #take(one: Container): void {
    const here = this.#here.get(one.host);
    const at = here?.indexOf(one.id) ?? -1;
    if (at >= 0) here?.splice(at, 1);
    if (one.target) this.#coming.get(one.target)?.delete(one.id);
    if (this.#moving.delete(one.id)) this.#above = true;
  }

  #soil(host: string): void {
    this.#dirty.add(host);
    this.#wake();
  }

  #wake(): void {
    this.#frame ||= requestAnimationFrame((now) => this.#paint(now));
  }

  #paint(now: number): void {
    this.#frame = 0;
    this.frames++;
    if (this.#all) this.#paintAll();
    else for (const host of this.#dirty) this.#paintHost(host);
    this.#all = false;
    this.#dirty.clear();
    const lively = this.#moving.size > 0 && !this.still;
    if (this.#above || lively) this.#paintAbove(now);
    this.#above = false;
    if (lively) this.#wake();
  }

  #paintAll(): void {
    this.#base.clearRect(0, 0, this.#width, this.#map.height + 2);
    for (const zone of this.#map.zones) paintZone(this.#base, zone, this.style.theme);
    for (const host of this.#map.cells.keys()) this.#paintHost(host);
  }

  #paintHost(id: string): void {
    const cell = this.#map.cells.get(id);
    if (!cell) return;
    const tenants = { here: this.#lines(this.#here.get(id)), coming: this.#lines(this.#coming.get(id)) };
    paintCell(this.#base, this.#map, cell, this.#source.host.get(id), tenants, this.style);
  }

  #lines(ids: Iterable<string> | undefined): Container[] {
    const found: Container[] = [];
    for (const id of ids ?? []) {
      const one = this.#source.container.get(id);
      if (one) found.push(one);
    }
    return found;
  }

  #paintAbove(now: number): void {
    const pen = this.#over;
    const empty = !this.#moving.size && !this.#hover && !this.#chosen;
    if (empty && this.#cleared) return;
    pen.clearRect(0, 0, this.#width, this.#map.height + 2);
    this.#cleared = empty;
    for (const id of this.#moving) this.#arc(id, now);
    if (this.#chosen) this.#outlineChosen(this.#chosen);
    if (this.#hover) this.#outline(this.#hover, this.style.theme.text, 1);
  }

  #outlineChosen(chosen: Choice): void {
    const one = chosen.kind === "container" ? this.#source.container.get(chosen.id) : undefined;
    if (one) {
      for (const other of this.#source.container.values()) {
        if (other.layer === one.layer && other.environment === one.environment && other.id !== one.id) {
          this.#outline({ kind: "container", id: other.id }, this.style.theme.focus, 1);
        }
      }
    }
    this.#outline(chosen, this.style.theme.focus, 2.5);
  }

  #outline(choice: Choice, stroke: string, wide: number): void {
    const box = this.box(choice);
    if (!box) return;
    const out = wide / 2 + 1;
    this.#over.strokeStyle = stroke;
    this.#over.lineWidth = wide;
    this.#over.strokeRect(box.x - out, box.y - out, box.w + 2 * out, box.h + 2 * out);
  }

  /** Where something is on the map. */
  box(choice: Choice): Box | null {
    if (choice.kind === "host") return this.#map.cells.get(choice.id) ?? null;
    const one = this.#source.container.get(choice.id);
    const cell = one && this.#map.cells.get(one.host);
    const n = one ? (this.#here.get(one.host)?.indexOf(one.id) ?? -1) : -1;
    return cell && n >= 0 ? place(this.#map, cell, n) : null;
  }

  #arc(id: string, now: number): void {
    const from = this.box({ kind: "container", id });
    const target = this.#source.container.get(id)?.target ?? "";
    const cell = this.#map.cells.get(target);
    if (!from || !cell) return;
    const n = (this.#here.get(target)?.length ?? 0) + [...(this.#coming.get(target) ?? [])].indexOf(id);
    const to = place(this.#map, cell, n);
    const [x1, y1] = [from.x + from.w / 2, from.y + from.h / 2];
    const [x2, y2] = [to.x + to.w / 2, to.y + to.h / 2];
    const bend = Math.min(90, 20 + Math.hypot(x2 - x1, y2 - y1) * 0.25);
    const [mx, my] = [(x1 + x2) / 2, (y1 + y2) / 2 - bend];
    const pen = this.#over;
    pen.strokeStyle = this.style.theme.warn;
    pen.lineWidth = this.#map.dot >= 8 ? 2 : 1.25;
    pen.setLineDash([6, 4]);
    pen.lineDashOffset = this.still ? 0 : -now * DASH_PER_MS;
    pen.beginPath();
    pen.moveTo(x1, y1);
    pen.quadraticCurveTo(mx, my, x2, y2);
    pen.stroke();
    pen.setLineDash([]);
    arrow(pen, x2, y2, Math.atan2(y2 - my, x2 - mx), this.style.theme.warn);
  }

  choose(choice: Choice | null): void {
    this.#chosen = choice;
    this.#above = true;
    this.#wake();
  }

  at(x: number, y: number): Choice | null {
    const found = hit(this.#map, x, y);
    if (!found) return null;
    const id = this.#here.get(found.cell.host)?.[found.place];
    return id && found.place >= 0 ? { kind: "container", id } : { kind: "host", id: found.cell.host };
  }

  point(x: number, y: number): void {
    const found = this.at(x, y);
    if (found?.id !== this.#hover?.id) {
      this.#hover = found;
      this.#above = true;
      this.#wake();
    }
    this.calls.hover(found, { x, y });
  }

  leave(): void {
    this.#hover = null;
    this.#above = true;
    this.#wake();
    this.calls.hover(null, { x: 0, y: 0 });
  }

  click(x: number, y: number): void {
    this.calls.choose(this.at(x, y));
  }

  /** The host that a step in this direction leads to. */
  step(from: Choice | null, dx: number, dy: number): Choice | null {
    const cells = [...this.#map.cells.values()];
    const host = from?.kind === "container" ? this.#source.container.get(from.id)?.host : from?.id;
    const here = host ? this.#map.cells.get(host) : undefined;
    const first = cells[0];
    if (!here) return first ? { kind: "host", id: first.host } : null;
    const next = cells.reduce<[number, Cell] | null>((best, cell) => {
      const far = distance(here, cell, dx, dy);
      return far !== null && (!best || far < best[0]) ? [far, cell] : best;
    }, null);
    return { kind: "host", id: next?.[1].host ?? here.host };
  }

  /** The next container on the same host. */
  turn(from: Choice | null, by: number): Choice | null {
    const host = from?.kind === "container" ? this.#source.container.get(from.id)?.host : from?.id;
    const ids = [...(this.#here.get(host ?? "") ?? [])].sort(byId);
    if (!ids.length) return from;
    const at = from?.kind === "container" ? ids.indexOf(from.id) : by > 0 ? -1 : 0;
    const id = ids[(at + by + ids.length) % ids.length];
    return id ? { kind: "container", id } : from;
  }

  stop(): void {
    cancelAnimationFrame(this.#frame);
  }
}

/** How far a cell is in a direction; sideways counts double. Null where it is not that way. */
function distance(from: Cell, to: Cell, dx: number, dy: number): number | null {
  const along = (to.x - from.x) * dx + (to.y - from.y) * dy;
  const across = Math.abs((to.x - from.x) * dy) + Math.abs((to.y - from.y) * dx);
  return along > 0 && to.host !== from.host ? along + 2 * across : null;
}

function arrow(pen: CanvasRenderingContext2D, x: number, y: number, angle: number, fill: string): void {
  pen.save();
  pen.translate(x, y);
  pen.rotate(angle);
  pen.fillStyle = fill;
  pen.beginPath();
  pen.moveTo(2, 0);
  pen.lineTo(-6, -4);
  pen.lineTo(-6, 4);
  pen.fill();
  pen.restore();
}

function context(canvas: HTMLCanvasElement): CanvasRenderingContext2D {
  const found = canvas.getContext("2d");
  if (!found) throw new Error("this browser has no canvas");
  return found;
}
