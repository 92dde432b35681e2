// The pages, in the order of the bar, and the key that follows `g` for each.

import type { Component } from "svelte";
import Commands from "./pages/Commands.svelte";
import Containers from "./pages/Containers.svelte";
import Environments from "./pages/Environments.svelte";
import Events from "./pages/Events.svelte";
import Fleet from "./pages/Fleet.svelte";
import Health from "./pages/Health.svelte";
import Hosts from "./pages/Hosts.svelte";
import Operations from "./pages/Operations.svelte";
import Projections from "./pages/Projections.svelte";
import Time from "./pages/Time.svelte";

export interface PageOf {
  name: string;
  title: string;
  key: string;
  shows: Component;
}

export const PAGES: readonly PageOf[] = [
  { name: "fleet", title: "Fleet", key: "f", shows: Fleet },
  { name: "operations", title: "Operations", key: "o", shows: Operations },
  { name: "events", title: "Events", key: "e", shows: Events },
  { name: "time", title: "Time travel", key: "t", shows: Time },
  { name: "commands", title: "Commands", key: "c", shows: Commands },
  { name: "hosts", title: "Hosts", key: "h", shows: Hosts },
  { name: "environments", title: "Environments", key: "n", shows: Environments },
  { name: "containers", title: "Containers", key: "k", shows: Containers },
  { name: "projections", title: "Projections", key: "p", shows: Projections },
  { name: "health", title: "Health", key: "l", shows: Health },
];

export const KEYS: Readonly<Record<string, string>> = Object.fromEntries(PAGES.map(({ key, name }) => [key, name]));
