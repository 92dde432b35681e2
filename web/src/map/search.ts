// The filter of the map and the tables: words and `member:value`, all of which must hold.

export interface Wanted {
  words: string[];
  members: [string, string][];
}

export const MEMBERS: Record<string, string> = {
  env: "environment",
  environment: "environment",
  layer: "layer",
  host: "host",
  zone: "zone",
  state: "state",
  image: "image",
  claim: "claim",
};

export function parse(text: string): Wanted {
  const wanted: Wanted = { words: [], members: [] };
  for (const word of text.toLowerCase().split(/\s+/)) {
    const [name = "", value] = word.split(":", 2);
    const member = MEMBERS[name];
    if (member && value) wanted.members.push([member, value]);
    else if (word) wanted.words.push(word);
  }
  return wanted;
}

export function isAny(wanted: Wanted): boolean {
  return wanted.words.length > 0 || wanted.members.length > 0;
}

/** Tell whether a line is wanted: members begin with the value, words are found anywhere. */
export function matches(wanted: Wanted, line: Record<string, unknown>): boolean {
  for (const [member, value] of wanted.members) {
    if (!String(line[member] ?? "").toLowerCase().startsWith(value)) return false;
  }
  if (!wanted.words.length) return true;
  const text = searchable(line);
  return wanted.words.every((word) => text.includes(word));
}

function searchable(line: Record<string, unknown>): string {
  let text = "";
  for (const name of ["id", "name", "environment", "layer", "host", "zone", "state", "address", "image"]) {
    const value = line[name];
    if (value) text += ` ${value as string}`;
  }
  return text.toLowerCase();
}
