import "./style.css";
import { mount } from "svelte";
import App from "./App.svelte";
import { live } from "./lib/live.svelte";

live.start();
mount(App, { target: document.getElementById("app") as HTMLElement });
