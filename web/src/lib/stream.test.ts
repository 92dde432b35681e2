import { describe, expect, it } from "vitest";
import { Parser } from "./stream";

const TEXT = 'retry: 1000\n\nid: 7\nevent: change\ndata: {"a":\ndata: 1}\n\n: quiet\n\n';

describe("a stream of events", () => {
  it("is the same however it is cut", () => {
    const whole = new Parser().push(TEXT);
    for (let cut = 1; cut < TEXT.length; cut++) {
      const parser = new Parser();
      expect([...parser.push(TEXT.slice(0, cut)), ...parser.push(TEXT.slice(cut))]).toEqual(whole);
    }
  });

  it("tells events, and comments as a sign of life", () => {
    expect(new Parser().push(TEXT)).toEqual([
      { event: "", id: "", data: "" },
      { event: "change", id: "7", data: '{"a":\n1}' },
      { event: "", id: "", data: "" },
    ]);
  });

  it("keeps what is not whole yet", () => {
    const parser = new Parser();
    expect(parser.push("event: change\ndata: 1")).toEqual([]);
    expect(parser.push("\n\n")).toHaveLength(1);
  });
});
