import { describe, expect, it } from "vitest";
import type { Reply } from "./api";
import { begun, isGood, sent, worth, type WayBack } from "./undo";

const way: WayBack = { type: "host.uncordon", body: { host: "h1" }, back: [], note: "", against: "" };
const reply = (more: Partial<Reply>): Reply => ({ status: "done", command_id: "c", position: 3, ...more });

describe("the way back", () => {
  it("is planned first, and held to its plan under a name of its own", async () => {
    const asked: Record<string, unknown>[] = [];
    await sent(way, "undo of op3", (body) => {
      asked.push(body);
      return Promise.resolve(reply({ plan_name: "9-ab" }));
    });
    expect(asked).toEqual([
      { type: "host.uncordon", host: "h1", reason: "undo of op3", dry_run: true },
      { type: "host.uncordon", host: "h1", reason: "undo of op3", expect_plan: "9-ab", id: "undo-9-ab" },
    ]);
  });

  it("is good if every command would be done", () => {
    const ways = (commands: WayBack[]) => ({ position: 1, asked: [], commands, left: [], unlike: [] });
    expect([isGood(ways([way])), isGood(ways([])), isGood(ways([way, { ...way, against: "would be refused" }]))]).toEqual([true, false, false]);
  });

  it("waits for what it begins, and for nothing else", () => {
    expect(begun(reply({ status: "accepted", operation_id: "op3" }))).toEqual(["op3"]);
    expect(begun(reply({ status: "accepted", operation_ids: ["op3", "op4"], operation_id: "op3" }))).toEqual(["op3", "op4"]);
    expect(begun(reply({}))).toEqual([]);
  });

  it("says a value in a line", () => {
    expect([worth("there", null), worth("count", 4), worth("host", "h1")]).toEqual(["gone", "4", "h1"]);
  });
});
