// The page: the drawing at the left, the views at the right, and the connection to the server.

import { Drawing, SIZE } from "./drawing.js";
import { byId, h, percent } from "./elements.js";
import { toFrame } from "./frame.js";
import { confidence, largest } from "./network.js";
import { forgetTheme, paintInk } from "./paint.js";
import { loadModel, numbers, on, setInput, state, tell, unchange } from "./state.js";
import { backward } from "./views/backward.js";
import { blind } from "./views/blind.js";
import { forward } from "./views/forward.js";
import { mistakes } from "./views/mistakes.js";
import { read } from "./views/read.js";
import { train } from "./views/train.js";

const drawing = new Drawing(byId("canvas"), () => {
  byId("loaded").textContent = "";
  setInput(toFrame(drawing.ink(), SIZE, SIZE));
});

// Shows an image that was not drawn, with its label if that is known.
export const load = (pixels, label, whence) => {
  drawing.show(pixels);
  byId("loaded").textContent = whence;
  setInput(pixels, label === null ? null : state.info.classes.indexOf(label));
};

byId("undo").onclick = () => drawing.undo();
byId("clear").onclick = () => drawing.clear();
byId("unchange").onclick = unchange;
let example = 0;
byId("example").onclick = async () => {
  const answer = await fetch(`api/test-images?rows=${example}`);
  if (!answer.ok) {
    byId("loaded").textContent = (await answer.json()).detail;
    return;
  }
  load(new Uint8Array(await answer.arrayBuffer()), null, `test image ${example}`);
  example = (example + 1) % 1000;
};
byId("numbers").onclick = () => {
  const text = JSON.stringify(numbers(), null, 1);
  const link = h("a", { href: URL.createObjectURL(new Blob([text], { type: "application/json" })), download: "numbers.json" });
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 1000);
};

on("input network theme", () => {
  paintInk(byId("frame"), state.X);
  const [digit, sure] = byId("answer").children;
  if (!state.seen || state.blank) {
    digit.textContent = "–";
    sure.textContent = "nothing drawn yet";
    return;
  }
  const certain = confidence(state.seen.Y);
  digit.textContent = state.info.classes[largest(state.seen.Y)];
  sure.textContent = `${percent(certain, 1)} sure`;
});

on("model", () => {
  const { name, D_I, D_H, D_O } = state.info;
  byId("model").textContent = `${name}: ${D_I} inputs, ${D_H} hidden units, ${D_O} outputs`;
});

on("network model", () => {
  const changed = state.network !== state.original;
  byId("changed").hidden = !changed;
  const n = state.steps.length;
  byId("changed").firstChild.textContent = `Theta was changed here: ${n} step${n === 1 ? "" : "s"} of descent.`;
});

// --- views ----------------------------------------------------------------------------------------------------
const views = { Forward: forward, Backward: backward, Train: train, Mistakes: mistakes, "Blind spots": blind, "Read a picture": read };
const idOf = (name) => name.toLowerCase().replaceAll(" ", "-");
const tabs = byId("tabs");
const panels = {};

const choose = (name, focus = false) => {
  for (const tab of tabs.children) {
    const chosen = tab.textContent === name;
    tab.setAttribute("aria-selected", chosen);
    tab.tabIndex = chosen ? 0 : -1;
    if (chosen && focus) tab.focus();
    panels[tab.textContent].panel.hidden = !chosen;
  }
  history.replaceState(null, "", `#/${idOf(name)}`); // no id of the page, which would be scrolled to
  panels[name].show();
};

for (const [name, make] of Object.entries(views)) {
  const id = idOf(name);
  tabs.append(h("button", { role: "tab", type: "button", id: `tab-${id}`, "aria-controls": id, onclick: () => choose(name) }, name));
  const panel = h("div", { role: "tabpanel", id, "aria-labelledby": `tab-${id}`, tabindex: "-1", hidden: true });
  byId("view").append(panel);
  // A view paints only while it is looked at.
  const shown = () => !panel.hidden && state.info !== null;
  panels[name] = { panel, show: make(panel, shown, { load, choose }) };
}
tabs.addEventListener("keydown", (event) => {
  const names = Object.keys(views), at = names.indexOf(document.activeElement.textContent);
  const to = { ArrowRight: at + 1, ArrowLeft: at - 1, Home: 0, End: names.length - 1 }[event.key];
  if (to === undefined || at < 0) return;
  event.preventDefault();
  choose(names[(to + names.length) % names.length], true);
});

// --- light and dark -------------------------------------------------------------------------------------------
const themes = { system: "as the system", light: "light", dark: "dark" };
const setTheme = (name) => {
  if (name === "system") delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = name;
  byId("theme").textContent = `Theme: ${themes[name]}`;
  byId("theme").value = name;
  localStorage.setItem("theme", name);
  forgetTheme();
  drawing.redraw();
  tell("theme");
};
byId("theme").onclick = () => {
  const names = Object.keys(themes);
  setTheme(names[(names.indexOf(byId("theme").value) + 1) % names.length]);
};
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => setTheme(byId("theme").value));

// --- the connection -------------------------------------------------------------------------------------------
let server = null;
const LOOK = 2000; // milliseconds

const look = async () => {
  try {
    const { started } = await (await fetch("api/health")).json();
    if (server !== null && started !== server) {
      await loadModel();
      dispatchEvent(new Event("server-restarted"));
    }
    server = started;
    byId("connection").textContent = "";
  } catch {
    byId("connection").textContent = "The server does not answer; trying again …";
  }
  setTimeout(look, LOOK);
};

const begin = async () => {
  setTheme(themes[localStorage.getItem("theme")] ? localStorage.getItem("theme") : "system");
  const first = Object.keys(views).find((name) => `#/${idOf(name)}` === location.hash) ?? "Forward";
  choose(first);
  try {
    await loadModel();
    panels[first].show();
  } catch (problem) {
    byId("model").textContent = `The network could not be loaded: ${problem.message}`;
  }
  look();
};

window.thetanet = { state, numbers, toFrame, load }; // to play with in the browser's console
begin();
