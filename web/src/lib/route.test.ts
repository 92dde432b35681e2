import { beforeAll, describe, expect, it, vi } from "vitest";

beforeAll(() => {
  vi.stubGlobal("location", { hash: "" });
  vi.stubGlobal("addEventListener", () => undefined);
});

describe("addresses", () => {
  it("lead back to where they were made", async () => {
    const { href, parse } = await import("./route.svelte");
    const at = { page: "fleet", id: "host/h 1", asked: { q: "env:shop state:down" } };
    expect(parse(href(at.page, at.id, at.asked))).toEqual(at);
    expect(parse("")).toEqual({ page: "fleet", id: "", asked: {} });
    expect(href("events", "", { stream: "" })).toBe("#/events");
  });
});
