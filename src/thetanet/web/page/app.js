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
  // One more stroke does not change what digit it is meant to be.
  setInput(toFrame(drawing.ink(), SIZE, SIZE), drawing.strokes.length > 1 ? state.label : null);
});

// Shows an image that was not drawn, with its label if that is known.
export const load = (pixels, label, whence) => {
  drawing.show(pixels);
  byId("loaded").textContent = whence;
  const index = label === null ? -1 : state.info.classes.indexOf(label);
  setInput(pixels, index < 0 ? null : index);
};

byId("undo").onclick = () => drawing.undo();
byId("clear").onclick = () => drawing.clear();
byId("unchange").onclick = unchange;
let example = -1;
byId("example").onclick = async () => {
  const { tests } = state.info;
  if (!tests) {
    byId("loaded").textContent = "The data of this server have no test images.";
    return;
  }
  example = (example + 1) % tests;
  const [image, labels] = await Promise.all(["images", "labels"].map((what) => fetch(`api/test-${what}?rows=${example}`)));
  const [label] = await labels.json();
  load(new Uint8Array(await image.arrayBuffer()), label, `test image ${example}, a ${label}`);
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
  digit.classList.toggle("long", digit.textContent.length > 2);
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
const tabs = byId("tabs"), main = document.querySelector("main");
let chosen = null;
const panels = {};

const choose = (name, focus = false) => {
  chosen = name;
  for (const tab of tabs.children) {
    const selected = tab.textContent === name;
    tab.setAttribute("aria-selected", selected);
    tab.tabIndex = selected ? 0 : -1;
    if (selected && focus) tab.focus();
    panels[tab.textContent].panel.hidden = !selected;
  }
  // No id of the page, which would be scrolled to.
  if (location.hash !== `#/${idOf(name)}`) history.replaceState(null, "", `#/${idOf(name)}`);
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

addEventListener("hashchange", () => {
  const name = Object.keys(views).find((view) => `#/${idOf(view)}` === location.hash);
  if (name) choose(name);
});

// The first network, which may come late: until then there is nothing to look at.
on("model", () => {
  if (!main.inert) return;
  main.inert = false;
  panels[chosen].show();
});

// --- light and dark -------------------------------------------------------------------------------------------
const themes = { system: "as the system", light: "light", dark: "dark" };
const setTheme = (name) => {
  if (name === "system") delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = name;
  byId("theme").textContent = `Theme: ${themes[name]}`;
  byId("theme").value = name;
  try {
    localStorage.setItem("theme", name);
  } catch {
    // A browser that keeps nothing: the choice holds for this visit.
  }
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
    const { started, model } = await (await fetch("api/health")).json();
    const restarted = server !== null && started !== server;
    server = started;
    if (restarted || model !== state.info?.version) await loadModel(); // another page may have chosen another one
    if (restarted) dispatchEvent(new Event("server-restarted"));
    byId("connection").textContent = "";
  } catch {
    byId("connection").textContent = "The server does not answer; trying again …";
  }
  setTimeout(look, LOOK);
};

const begin = async () => {
  let kept = null;
  try {
    kept = localStorage.getItem("theme");
  } catch {
    // as above
  }
  setTheme(kept in themes ? kept : "system");
  choose(Object.keys(views).find((name) => `#/${idOf(name)}` === location.hash) ?? "Forward");
  try {
    await loadModel();
  } catch (problem) {
    byId("model").textContent = `The network could not be loaded: ${problem.message}`;
  }
  look();
};

window.thetanet = { state, numbers, toFrame, load }; // to play with in the browser's console
begin();
