// Server-sent events by fetch: unlike EventSource it lets us see every sign of life, and send headers.

export interface Told {
  event: string;
  id: string;
  data: string;
}

/** Cuts what arrives into events. A comment is told as an event without a name: a sign of life. */
export class Parser {
  #rest = "";

  push(text: string): Told[] {
    const blocks = (this.#rest + text).split("\n\n");
    this.#rest = blocks.pop() ?? "";
    return blocks.map(parsed);
  }
}

function parsed(block: string): Told {
  const told: Told = { event: "", id: "", data: "" };
  const data: string[] = [];
  for (const line of block.split("\n")) {
    const colon = line.indexOf(":");
    if (colon <= 0) continue;
    const name = line.slice(0, colon);
    const value = line.slice(colon + 1).replace(/^ /, "");
    if (name === "data") data.push(value);
    else if (name === "event" || name === "id") told[name] = value;
  }
  told.data = data.join("\n");
  return told;
}

/** Hear a stream until it ends. Throws whatever `fetch` throws, also when `signal` aborts. */
export async function hear(url: string, signal: AbortSignal, tell: (told: Told) => void): Promise<void> {
  const response = await fetch(url, { signal, headers: { Accept: "text/event-stream" }, cache: "no-store" });
  if (!response.ok || !response.body) throw new Error(`the stream of changes answered ${response.status}`);
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  const parser = new Parser();
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    for (const told of parser.push(value)) tell(told);
  }
}
