// Builds the page into the Python package, with a hash of what it was built from beside it.

import { createHash } from "node:crypto";
import { readFileSync, readdirSync } from "node:fs";
import { join, relative, sep } from "node:path";
import { fileURLToPath } from "node:url";
import { svelte } from "@sveltejs/vite-plugin-svelte";
import { defineConfig, type Plugin } from "vite";

const here = fileURLToPath(new URL(".", import.meta.url));
const LEFT_OUT = new Set(["node_modules", ".svelte-kit"]);

function sources(folder: string): string[] {
  return readdirSync(folder, { withFileTypes: true }).flatMap((entry) => {
    if (LEFT_OUT.has(entry.name) || entry.name.endsWith(".test.ts")) return [];
    const path = join(folder, entry.name);
    return entry.isDirectory() ? sources(path) : [relative(here, path).split(sep).join("/")];
  });
}

// The same sum is made by tests/guards/test_dashboard.py, where there may be no Node.
function sum(): string {
  const all = createHash("sha256");
  for (const path of sources(here).sort()) {
    all.update(`${path} ${createHash("sha256").update(readFileSync(join(here, path))).digest("hex")}\n`);
  }
  return all.digest("hex");
}

function provenance(): Plugin {
  const licences = () =>
    ["svelte"]
      .map((name) => `${name}\n\n${readFileSync(join(here, "node_modules", name, "LICENSE.md"), "utf8")}`)
      .join("\n");
  return {
    name: "provenance",
    generateBundle() {
      this.emitFile({ type: "asset", fileName: "sources.txt", source: `${sum()}\n` });
      this.emitFile({ type: "asset", fileName: "licences.txt", source: licences() });
    },
  };
}

export default defineConfig({
  plugins: [svelte(), provenance()],
  build: {
    outDir: "../projections/web/static",
    emptyOutDir: true,
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    target: "es2022",
    reportCompressedSize: false,
  },
});
