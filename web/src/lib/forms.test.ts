import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { body, cliLine, forms, typed, value, type Field } from "./forms";

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

  it("quote for a shell", () => {
    expect(cliLine("host.cordon", { reason: "it's old" })).toBe(`restow command send host.cordon '{"reason":"it'\\''s old"}'`);
  });
});
