import { describe, expect, it } from "vitest";
import { matches, parse } from "./search";

const LINE = { id: "node3", environment: "shop", layer: "app", host: "h02", zone: "north", state: "down" };

describe("the filter", () => {
  it.each(["", "node3", "NODE", "shop app", "host:h02", "zone:no state:down", "env:shop node"])("'%s' finds it", (text) => {
    expect(matches(parse(text), LINE)).toBe(true);
  });

  it.each(["node4", "host:h1", "env:shop state:operable", "shop sql"])("'%s' does not", (text) => {
    expect(matches(parse(text), LINE)).toBe(false);
  });
});
