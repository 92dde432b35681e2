// Paints hosts and containers. Knows nothing of where the data come from.

import type { Container, Host } from "../lib/lines";
import { place, type Box, type Cell, type Layout, type Zone } from "./layout";
import { HOST_SIGNS, LOADS, hue, loadStep, look, trace, type Shape } from "./looks";

export type Colouring = "state" | "load" | "layer";

export interface Theme {
  dark: boolean;
  page: string;
  cell: string;
  edge: string;
  text: string;
  muted: string;
  bar: string;
  warn: string;
  bad: string;
  focus: string;
}

export interface Style {
  theme: Theme;
  colouring: Colouring;
  wanted: (container: Container) => boolean;
  filtered: boolean;
}

const DIM = 0.14;
/** From this size on a container has its number on it. */
const NUMBER_FROM = 20;
/** From this size on it has its layer on it, too. */
const LAYER_FROM = 36;
/** Load of a host from which its bar warns. */
const FULL = 0.85;

export function paintZone(pen: CanvasRenderingContext2D, zone: Zone, theme: Theme): void {
  pen.fillStyle = theme.muted;
  pen.font = "600 12px system-ui, sans-serif";
  pen.textBaseline = "middle";
  pen.textAlign = "left";
  pen.fillText(`${zone.name || "no zone"}  ·  ${zone.hosts} ${zone.hosts === 1 ? "host" : "hosts"}`, zone.x, zone.y + 11);
}

export interface Tenants {
  here: readonly Container[];
  /** On their way to this host. */
  coming: readonly Container[];
}

export function paintCell(
  pen: CanvasRenderingContext2D, map: Layout, cell: Cell, host: Host | undefined, tenants: Tenants, style: Style,
): void {
  const { theme } = style;
  pen.clearRect(cell.x - 1, cell.y - 1, cell.w + 2, cell.h + 2);
  pen.fillStyle = theme.cell;
  pen.fillRect(cell.x, cell.y, cell.w, cell.h);
  if (host) {
    paintStanding(pen, cell, host, theme);
    if (map.title) paintTitle(pen, cell, host, theme);
    paintBar(pen, map, cell, host, theme);
  }
  tenants.here.forEach((one, n) => paintContainer(pen, map, cell, one, n, style));
  tenants.coming.forEach((_, n) => paintGhost(pen, map, cell, tenants.here.length + n, theme));
}

/** A host that is not as usual: hatched where it takes nothing, crossed out where it is lost. */
function paintStanding(pen: CanvasRenderingContext2D, cell: Cell, host: Host, theme: Theme): void {
  const usual = host.state === "active";
  const dead = host.state === "lost" || host.state === "fenced";
  if (!usual) {
    pen.save();
    pen.beginPath();
    pen.rect(cell.x, cell.y, cell.w, cell.h);
    pen.clip();
    pen.strokeStyle = dead ? theme.bad : theme.warn;
    pen.globalAlpha = 0.35;
    pen.lineWidth = 1;
    pen.beginPath();
    for (let x = -cell.h; x < cell.w; x += 6) {
      pen.moveTo(cell.x + x, cell.y + cell.h);
      pen.lineTo(cell.x + x + cell.h, cell.y);
      if (dead) {
        pen.moveTo(cell.x + x, cell.y);
        pen.lineTo(cell.x + x + cell.h, cell.y + cell.h);
      }
    }
    pen.stroke();
    pen.restore();
  }
  pen.strokeStyle = usual ? theme.edge : dead ? theme.bad : theme.warn;
  pen.lineWidth = 1;
  pen.strokeRect(cell.x + 0.5, cell.y + 0.5, cell.w - 1, cell.h - 1);
}

function paintTitle(pen: CanvasRenderingContext2D, cell: Cell, host: Host, theme: Theme): void {
  const y = cell.y + 12;
  pen.font = "600 11px system-ui, sans-serif";
  pen.textBaseline = "middle";
  pen.textAlign = "left";
  pen.fillStyle = theme.text;
  const sign = HOST_SIGNS[host.state] ?? host.state;
  pen.fillText(host.id, cell.x + 6, y, cell.w - 12);
  const begin = pen.measureText(host.id).width + 14;
  const said = sign || `${host.used}/${host.cloudlets}`;
  pen.font = "11px system-ui, sans-serif";
  if (begin + pen.measureText(said).width > cell.w - 6) return;
  pen.textAlign = "right";
  pen.fillStyle = sign ? theme.text : theme.muted;
  pen.fillText(said, cell.x + cell.w - 6, y);
}

function paintBar(pen: CanvasRenderingContext2D, map: Layout, cell: Cell, host: Host, theme: Theme): void {
  const share = host.cloudlets ? Math.min(1, host.used / host.cloudlets) : 0;
  const y = cell.y + cell.h - map.bar - 1;
  pen.fillStyle = theme.edge;
  pen.fillRect(cell.x + 1, y, cell.w - 2, map.bar);
  pen.fillStyle = share >= FULL ? theme.warn : theme.bar;
  pen.fillRect(cell.x + 1, y, Math.round((cell.w - 2) * share), map.bar);
}

export function colour(container: Container, style: Style): string {
  const { dark } = style.theme;
  if (style.colouring === "load") {
    const share = container.limit ? container.allocated / container.limit : 0;
    return (dark ? LOADS.dark : LOADS.light)[loadStep(share)] ?? "";
  }
  if (style.colouring === "layer") {
    return `hsl(${hue(`${container.environment}/${container.layer}`)} ${dark ? "55% 65%" : "60% 40%"})`;
  }
  const found = look(container.state);
  return dark ? found.dark : found.light;
}

function paintContainer(
  pen: CanvasRenderingContext2D, map: Layout, cell: Cell, container: Container, n: number, style: Style,
): void {
  const box = place(map, cell, n);
  pen.globalAlpha = style.filtered && !style.wanted(container) ? DIM : 1;
  pen.fillStyle = colour(container, style);
  const { shape } = look(container.state);
  if (shape === "full") {
    pen.fillRect(box.x, box.y, box.w, box.h);
  } else {
    pen.beginPath();
    trace(pen, shape, box.x, box.y, box.w);
    pen.fill();
  }
  if (map.dot >= NUMBER_FROM) paintNumber(pen, box, container, style);
  pen.globalAlpha = 1;
}

/** On these shapes a number finds room; where it stands beside the colour, not on it, it is written as text. */
const SHOWS_NUMBER: Readonly<Partial<Record<Shape, boolean>>> = { full: true, notched: true, diamond: true, triangle: true, ring: false };

function paintNumber(pen: CanvasRenderingContext2D, box: Box, container: Container, style: Style): void {
  const { shape } = look(container.state);
  const upon = SHOWS_NUMBER[shape];
  if (upon === undefined) return;
  const both = box.w >= LAYER_FROM && shape === "full";
  const [x, y] = [box.x + box.w / 2, box.y + box.h * (shape === "triangle" ? 0.7 : 0.5)];
  pen.font = `600 ${both ? 13 : 10}px system-ui, sans-serif`;
  pen.textAlign = "center";
  pen.textBaseline = "middle";
  pen.fillStyle = upon ? (style.theme.dark ? "#0b1420" : "#ffffff") : style.theme.text;
  pen.fillText(/\d+$/.exec(container.id)?.[0] ?? "", x, both ? y - 5 : y + 0.5);
  if (!both) return;
  pen.font = "10px system-ui, sans-serif";
  pen.fillText(container.layer, x, y + 9, box.w - 4);
}

function paintGhost(pen: CanvasRenderingContext2D, map: Layout, cell: Cell, n: number, theme: Theme): void {
  const box = place(map, cell, n);
  pen.strokeStyle = theme.warn;
  pen.lineWidth = 1;
  pen.setLineDash([2, 2]);
  pen.strokeRect(box.x + 0.5, box.y + 0.5, box.w - 1, box.h - 1);
  pen.setLineDash([]);
}
