import { describe, expect, it } from "vitest";
import { differences } from "./diff";

const at = (containers: Record<string, object>) =>
  ({ host: new Map(), environment: new Map(), layer: new Map(), container: new Map(Object.entries(containers)) }) as unknown as Parameters<typeof differences>[0];

describe("two moments", () => {
  it("differ in what is new, gone and changed, but not in what is noise", () => {
    const before = at({ node1: { host: "h1", version: 1 }, node2: { host: "h1" }, node3: { host: "h1", version: 4 } });
    const after = at({ node1: { host: "h2", version: 2 }, node3: { host: "h1", version: 5 }, node4: { host: "h1" } });
    expect(differences(before, after)).toEqual([
      { view: "container", key: "node1", what: "changed", members: [{ name: "host", before: "h1", after: "h2" }] },
      { view: "container", key: "node2", what: "gone", members: [] },
      { view: "container", key: "node4", what: "new", members: [] },
    ]);
  });
});
