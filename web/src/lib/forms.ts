// Forms from the JSON Schemas of the commands: what is asked for, how it is typed, how it is read.

export interface Schema {
  $ref?: string;
  title?: string;
  description?: string;
  type?: string;
  enum?: (string | number)[];
  anyOf?: Schema[];
  oneOf?: Schema[];
  items?: Schema;
  properties?: Record<string, Schema>;
  required?: string[];
  additionalProperties?: Schema | boolean;
  default?: unknown;
  minimum?: number;
  maximum?: number;
  minLength?: number;
  maxLength?: number;
  pattern?: string;
  format?: string;
  discriminator?: { mapping: Record<string, string> };
}

export type Kind = "text" | "number" | "yes" | "choice" | "words" | "pairs" | "json";

export interface Field {
  name: string;
  kind: Kind;
  required: boolean;
  says: string;
  options: string[];
  /** Words of a list that are numbers. */
  numbers: boolean;
  nullable: boolean;
  usual: unknown;
  schema: Schema;
}

export interface Form {
  name: string;
  summary: string;
  fields: Field[];
  /** What every ask may carry: which one it is, of what it is true, until when. */
  more: Field[];
  example: Record<string, unknown>;
}

/** What every command may carry and is asked for apart, and what it is for. */
const MORE: Record<string, string> = {
  id: "printable, no blanks; asked again under it, there is no second effect, only the same answer",
  expect_version: "refused unless what is changed is at this version",
  expires_at: "a time with its zone, at most 24 h ahead; not begun after it",
};
/** What the page itself says. */
const OURS = ["type", "dry_run", "expect_plan"];

interface Document {
  components: { schemas: Record<string, Schema> };
  paths: Record<string, { post?: { requestBody: { content: Record<string, { schema: Schema; examples?: Record<string, { value: Record<string, unknown> }> }> } } }>;
}

export function forms(document: Document): Form[] {
  const body = document.paths["/v1/commands"]?.post?.requestBody.content["application/json"];
  const schemas = document.components.schemas;
  return (body?.schema.oneOf ?? []).map((one): Form => {
    const schema = followed(one, schemas);
    const name = String(schema.properties?.type?.enum?.[0] ?? "");
    const example = body?.examples?.[name]?.value ?? {};
    const all = Object.entries(schema.properties ?? {})
      .filter(([field]) => !OURS.includes(field))
      .map(([field, shape]) => fieldOf(field, shape, schema.required ?? [], schemas));
    const fields = all.filter((field) => !(field.name in MORE));
    fields.sort((a, b) => Number(b.required) - Number(a.required) || Number(a.name === "reason") - Number(b.name === "reason"));
    const more = Object.keys(MORE).flatMap((field) => all.filter((found) => found.name === field));
    for (const field of more) field.says = [field.says, MORE[field.name]].filter(Boolean).join("; ");
    return { name, summary: schema.description ?? "", fields, more, example };
  });
}

export function followed(schema: Schema, schemas: Record<string, Schema>): Schema {
  const name = schema.$ref?.split("/").at(-1);
  return name ? { ...followed(schemas[name] ?? {}, schemas), ...(schema.default === undefined ? {} : { default: schema.default }) } : schema;
}

function fieldOf(name: string, given: Schema, required: string[], schemas: Record<string, Schema>): Field {
  const choices = (given.anyOf ?? [given]).map((one) => followed(one, schemas));
  const nullable = choices.some(({ type }) => type === "null");
  const schema = choices.find(({ type }) => type !== "null") ?? {};
  const kind = kindOf(schema, schemas);
  return {
    name,
    kind,
    required: required.includes(name),
    says: range(schema),
    options: (schema.enum ?? []).map(String),
    numbers: kind === "words" && followed(schema.items ?? {}, schemas).type === "integer",
    nullable,
    usual: given.default ?? schema.default,
    schema,
  };
}

function kindOf(schema: Schema, schemas: Record<string, Schema>): Kind {
  if (schema.enum) return "choice";
  switch (schema.type) {
    case "integer":
    case "number":
      return "number";
    case "boolean":
      return "yes";
    case "string":
      return "text";
    case "array": {
      const item = followed(schema.items ?? {}, schemas);
      return item.type === "string" || item.type === "integer" || item.enum ? "words" : "json";
    }
    case "object":
      return schema.properties ? "json" : "pairs";
    default:
      return "json";
  }
}

/** The allowed range in words. */
export function range(schema: Schema): string {
  const { minimum, maximum, maxLength, minLength } = schema;
  if (minimum !== undefined && maximum !== undefined) return `${minimum.toLocaleString("en")} to ${maximum.toLocaleString("en")}`;
  if (minimum !== undefined) return `at least ${minimum.toLocaleString("en")}`;
  if (maximum !== undefined) return `at most ${maximum.toLocaleString("en")}`;
  if (maxLength && minLength) return `${minLength} to ${maxLength} characters`;
  if (schema.type === "array") return "separated by commas";
  if (schema.type === "object" && !schema.properties) return "name=value, separated by commas";
  return "";
}

/** How a value is typed into its field. */
export function typed(field: Field, value: unknown): string {
  if (value === undefined || value === null) return "";
  if (field.kind === "words") return (value as unknown[]).join(", ");
  if (field.kind === "pairs") {
    return Object.entries(value as Record<string, unknown>)
      .map(([name, one]) => `${name}=${String(one)}`)
      .join(", ");
  }
  if (field.kind === "json") return JSON.stringify(value, null, 2);
  return String(value);
}

/** What was typed, as it goes into the command; undefined where nothing was. Throws with why not. */
export function value(field: Field, text: string): unknown {
  const plain = text.trim();
  if (!plain) {
    if (field.required && field.kind !== "text") throw new Error(`${field.name} is missing`);
    return field.required ? "" : undefined;
  }
  switch (field.kind) {
    case "number": {
      const found = Number(plain);
      if (Number.isNaN(found)) throw new Error(`${field.name} must be a number`);
      return found;
    }
    case "yes":
      return plain === "true" || plain === "yes";
    case "words":
      return words(plain).map((word) => (field.numbers ? Number(word) : word));
    case "pairs":
      return Object.fromEntries(words(plain).map((word) => pair(field.name, word)));
    case "json":
      try {
        return JSON.parse(plain) as unknown;
      } catch (error) {
        throw new Error(`${field.name} is no JSON: ${(error as Error).message}`, { cause: error });
      }
    default:
      return plain;
  }
}

function words(text: string): string[] {
  return text.split(",").map((word) => word.trim()).filter(Boolean);
}

function pair(name: string, word: string): [string, string | number] {
  const at = word.indexOf("=");
  if (at < 1) throw new Error(`${name}: write name=value, not ${word}`);
  const value = word.slice(at + 1);
  return [word.slice(0, at), /^\d+$/.test(value) ? Number(value) : value];
}

/** The whole command. Leaves out what is as usual, so that the line to copy is short. */
export function body(form: Form, texts: Record<string, string>): Record<string, unknown> {
  const found: Record<string, unknown> = {};
  for (const field of [...form.fields, ...form.more]) {
    const one = value(field, texts[field.name] ?? "");
    if (one === undefined || (!field.required && JSON.stringify(one) === JSON.stringify(field.usual))) continue;
    found[field.name] = one;
  }
  return found;
}

/** What of a command is about the ask alone: a plan does not hold it, so it is said again with the plan. */
export function aside(command: Record<string, unknown>): Record<string, unknown> {
  return Object.fromEntries(Object.entries(command).filter(([name]) => name in MORE));
}

/** A time some minutes from now, in whole seconds, as a command takes it. */
export function inMinutes(now: number, minutes: number): string {
  return new Date(now + minutes * 60_000).toISOString().replace(/\.\d+/, "");
}

/** A word as a shell takes it. */
export function quoted(text: string): string {
  return `'${text.replaceAll("'", `'\\''`)}'`;
}

export function cliLine(name: string, command: Record<string, unknown>): string {
  return `restow command send ${name} ${quoted(JSON.stringify(command))}`;
}

export function natsLine(prefix: string, name: string, command: Record<string, unknown>): string {
  return `nats req ${prefix}.svc.v1.${name} ${quoted(JSON.stringify(command))}`;
}
