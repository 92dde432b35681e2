// Light or dark: as the system says, or as somebody chose here.

import type { Theme } from "../map/paint";

const KEY = "restow.theme";
const ORDER = ["", "light", "dark"] as const;
export type Chosen = (typeof ORDER)[number];

class Themes {
  chosen = $state<Chosen>(stored());
  /** Moves when colours are to be read anew. */
  turn = $state(0);

  constructor() {
    this.#apply();
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.turn++);
  }

  next(): void {
    this.chosen = ORDER[(ORDER.indexOf(this.chosen) + 1) % ORDER.length] ?? "";
    localStorage.setItem(KEY, this.chosen);
    this.#apply();
  }

  #apply(): void {
    if (this.chosen) document.documentElement.dataset.theme = this.chosen;
    else delete document.documentElement.dataset.theme;
    this.turn++;
  }
}

function stored(): Chosen {
  const found = localStorage.getItem(KEY) ?? "";
  return (ORDER as readonly string[]).includes(found) ? (found as Chosen) : "";
}

export const themes = new Themes();

/** The colours of the page, for the canvas. */
export function colours(): Theme {
  const style = getComputedStyle(document.documentElement);
  const value = (name: string) => style.getPropertyValue(name).trim();
  const dark = themes.chosen ? themes.chosen === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
  return {
    dark,
    page: value("--page"),
    cell: value("--cell"),
    edge: value("--edge"),
    text: value("--text"),
    muted: value("--muted"),
    bar: value("--bar"),
    warn: value("--warn-mark"),
    bad: value("--bad"),
    focus: value("--focus"),
  };
}
