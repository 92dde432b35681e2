// How a state looks: a colour and a shape, so that nobody needs the colour. Colours are those of
// Okabe and Ito, which stay apart for every kind of colour blindness.

export type Shape = "full" | "notched" | "diamond" | "ring" | "triangle" | "cross" | "dash";

export interface Look {
  name: string;
  shape: Shape;
  light: string;
  dark: string;
  says: string;
}

export const LOOKS: readonly Look[] = [
  { name: "operable", shape: "full", light: "#0072b2", dark: "#3d9fe0", says: "runs, is healthy, and is in DNS" },
  { name: "claimed", shape: "notched", light: "#3a9bd1", dark: "#8fd0f7", says: "serves; an operation works on it" },
  { name: "moving", shape: "diamond", light: "#c77700", dark: "#f5ae2e", says: "on its way to another host" },
  { name: "unrouted", shape: "ring", light: "#9b4f86", dark: "#d88fc0", says: "healthy, but not in DNS" },
  { name: "unhealthy", shape: "triangle", light: "#8f7a00", dark: "#f0e442", says: "runs, and does not answer well" },
  { name: "down", shape: "cross", light: "#c23b00", dark: "#ff7a45", says: "does not run, though it should" },
  { name: "stopped", shape: "dash", light: "#7a7f87", dark: "#8e96a3", says: "stopped on purpose" },
];

const BY_NAME = new Map(LOOKS.map((look) => [look.name, look]));
const UNKNOWN: Look = { name: "unknown", shape: "ring", light: "#7a7f87", dark: "#8e96a3", says: "unknown" };

export function look(state: string): Look {
  return BY_NAME.get(state) ?? UNKNOWN;
}

/** Draw a shape into a square. The path is filled where `solid`, else its line is drawn. */
export function trace(path: CanvasPath, shape: Shape, x: number, y: number, d: number): void {
  const half = d / 2;
  switch (shape) {
    case "full":
      path.rect(x, y, d, d);
      break;
    case "notched":
      path.moveTo(x, y);
      path.lineTo(x + half, y);
      path.lineTo(x + half, y + half);
      path.lineTo(x + d, y + half);
      path.lineTo(x + d, y + d);
      path.lineTo(x, y + d);
      path.closePath();
      break;
    case "diamond":
      path.moveTo(x + half, y);
      path.lineTo(x + d, y + half);
      path.lineTo(x + half, y + d);
      path.lineTo(x, y + half);
      path.closePath();
      break;
    case "ring":
      path.rect(x, y, d, d);
      hole(path, x + d / 4, y + d / 4, half);
      break;
    case "triangle":
      path.moveTo(x + half, y);
      path.lineTo(x + d, y + d);
      path.lineTo(x, y + d);
      path.closePath();
      break;
    case "cross":
      cross(path, x, y, d);
      break;
    case "dash":
      path.rect(x, y + d * 0.36, d, d * 0.28);
      break;
  }
}

/** A square the other way round, which leaves a hole. */
function hole(path: CanvasPath, x: number, y: number, d: number): void {
  path.moveTo(x, y);
  path.lineTo(x, y + d);
  path.lineTo(x + d, y + d);
  path.lineTo(x + d, y);
  path.closePath();
}

function cross(path: CanvasPath, x: number, y: number, d: number): void {
  const t = d * 0.3;
  const points: [number, number][] = [
    [0, t], [t, 0], [d / 2, d / 2 - t], [d - t, 0], [d, t], [d / 2 + t, d / 2],
    [d, d - t], [d - t, d], [d / 2, d / 2 + t], [t, d], [0, d - t], [d / 2 - t, d / 2],
  ];
  points.forEach(([px, py], n) => (n ? path.lineTo(x + px, y + py) : path.moveTo(x + px, y + py)));
  path.closePath();
}

/** The same shape as the `d` of an SVG path in a 10 by 10 box, for legends and tables. */
export function outline(shape: Shape): string {
  const said: string[] = [];
  const pen = {
    moveTo: (x: number, y: number) => said.push(`M${x} ${y}`),
    lineTo: (x: number, y: number) => said.push(`L${x} ${y}`),
    closePath: () => said.push("Z"),
    rect: (x: number, y: number, w: number, h: number) => said.push(`M${x} ${y}h${w}v${h}h${-w}Z`),
  };
  trace(pen as unknown as CanvasPath, shape, 0, 0, 10);
  return said.join("");
}

/** How a host's state is said beside its name; nothing where all is as usual. */
export const HOST_SIGNS: Record<string, string> = {
  active: "",
  cordoned: "cordoned",
  evacuating: "evacuating",
  evacuated: "evacuated",
  evacuation_failed: "not emptied",
  lost: "lost",
  fenced: "fenced",
};

/** Load in five steps from light to dark: the order is seen without colours. */
export const LOADS = {
  light: ["#dbe9f4", "#a9cce4", "#6fa8d0", "#2f7cb5", "#0b3d66"],
  dark: ["#24384a", "#31597a", "#3f80b0", "#67aee0", "#cfe8fb"],
};

export function loadStep(share: number): number {
  return Math.max(0, Math.min(4, Math.floor(share * 5)));
}

/** A colour for a name, the same every time. */
export function hue(name: string): number {
  let sum = 7;
  for (const letter of name) sum = (sum * 31 + letter.charCodeAt(0)) % 360_007;
  return (sum * 137) % 360;
}
