import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { aside, body, cliLine, forms, inMinutes, natsLine, typed, value, type Field } from "./forms";

const document = JSON.parse(readFileSync(new URL("../../../docs/contracts/openapi.json", import.meta.url), "utf8"));
const all = forms(document);

describe("forms of the commands", () => {
  it("are there for every command", () => {
    const names = Object.keys(document.paths["/v1/commands"].post.requestBody.content["application/json"].examples);
    expect(all.map(({ name }) => name).sort()).toEqual(names.sort());
  });

  it.each(all.map((form) => [form.name, form] as const))("%s: its example, typed and read, is itself", (_, form) => {
    const texts = Object.fromEntries(form.fields.map((field) => [field.name, typed(field, form.example[field.name])]));
    const { type: _type, ...example } = form.example;
    expect(body(form, texts)).toEqual(example);
  });

  it("leave out what is as usual", () => {
    const restart = all.find(({ name }) => name === "layer.restart")!;
    expect(body(restart, { environment: "shop", layer: "app", delay_s: "30", mode: "sequential" })).toEqual({ environment: "shop", layer: "app" });
  });

  it("say what is wrong with what was typed", () => {
    const field = (kind: Field["kind"]): Field => ({ name: "x", kind, required: true, says: "", options: [], numbers: false, nullable: false, usual: undefined, schema: {} });
    expect(() => value(field("number"), "many")).toThrow("x must be a number");
    expect(() => value(field("pairs"), "zone")).toThrow("write name=value");
    expect(() => value(field("json"), "{")).toThrow("x is no JSON");
    expect(() => value(field("words"), "")).toThrow("x is missing");
  });

  it("carry what every ask may carry, on every line to copy", () => {
    for (const { name, more } of all) expect([name, ...more.map((field) => field.name)]).toEqual([name, "id", "expect_version", "expires_at"]);
    const cordon = all.find(({ name }) => name === "host.cordon")!;
    const command = body(cordon, { host: "h02", id: "friday-1", expect_version: "7", expires_at: "2026-11-21T10:00:00Z" });
    const payload = '{"host":"h02","id":"friday-1","expect_version":7,"expires_at":"2026-11-21T10:00:00Z"}';
    expect(cliLine("host.cordon", command)).toBe(`restow command send host.cordon '${payload}'`);
    expect(natsLine("restow", "host.cordon", command)).toBe(`nats req restow.svc.v1.host.cordon '${payload}'`);
    expect(aside(command)).toEqual({ id: "friday-1", expect_version: 7, expires_at: "2026-11-21T10:00:00Z" });
    expect(() => body(cordon, { host: "h02", expect_version: "seven" })).toThrow("expect_version must be a number");
  });

  it("say what the fields of every ask hold", () => {
    const [id, version, expires] = all[0]!.more;
    expect(id!.says).toMatch(/^1 to 128 characters; /);
    expect(version!.says).toMatch(/^0 to 999,999,999,999; /);
    expect(expires!.says).toContain("a time with its zone");
    expect(inMinutes(Date.UTC(2026, 10, 21, 9, 59, 0, 250), 5)).toBe("2026-11-21T10:04:00Z");
  });

  it("quote for a shell", () => {
    expect(cliLine("host.cordon", { reason: "it's old" })).toBe(`restow command send host.cordon '{"reason":"it'\\''s old"}'`);
  });
});
