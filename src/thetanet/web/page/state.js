// What the views share: the network, the drawing, what is computed from them; and who wants to know of changes.

import { Network, PIXEL } from "./network.js";

export const state = {
  info: null, // of the model: name, D_I, D_H, D_O, classes, version
  original: null, // the network of the model
  network: null, // the same, or a copy that was changed by steps of descent
  steps: [], // of descent that were taken; each can be undone
  pixels: new Uint8Array(784), // 0 to 255
  X: new Float64Array(784), // pixels / 255
  blank: true,
  seen: null, // A1, Z, A2, Y for X
  label: null, // the right digit, an index of classes
  unit: 0, // the hidden unit that is looked at
  unitChosen: false, // by the person; until then it is the one that matters most
};

const listeners = { model: [], network: [], input: [], unit: [], label: [], theme: [] };

// Calls f when something of this kind has changed.
export const on = (kinds, f) => kinds.split(" ").forEach((kind) => listeners[kind].push(f));

export const tell = (...kinds) => {
  const called = new Set();
  for (const kind of kinds) {
    for (const f of listeners[kind]) {
      if (!called.has(f)) f();
      called.add(f);
    }
  }
};

export const targets = () => Float64Array.from(state.info.classes, (_, k) => (k === state.label ? 1 : 0));

const forward = () => (state.seen = state.network.forward(state.X));

// label: the index of the right class, null if it is not known
export const setInput = (pixels, label = null) => {
  state.pixels = pixels ?? new Uint8Array(784);
  state.blank = !state.pixels.some((v) => v);
  state.X = Float64Array.from(state.pixels, (v) => v / PIXEL);
  state.label = label;
  if (state.network) forward();
  tell("input", "label");
};

export const setNetwork = (network) => {
  state.network = network;
  forward();
  tell("network");
};

export const setUnit = (unit, chosen = true) => {
  state.unitChosen ||= chosen;
  state.unit = Math.min(state.info.D_H - 1, Math.max(0, Math.round(unit) || 0));
  tell("unit");
};

const ABSURD = 1e9; // a weight that no step with a sensible rate reaches

// Steps of descent on a copy of Theta. Returns false, and changes nothing, if E or Theta go out of all bounds.
export const descend = (rate, count) => {
  const next = state.network.copy();
  const L = targets(), taken = [];
  for (let n = 0; n < count; n++) taken.push(next.step(state.X, L, rate));
  const healthy = Number.isFinite(next.error(next.forward(state.X).A2, L)) && next.two.every((v) => Math.abs(v) < ABSURD);
  if (!healthy) return false;
  state.steps.push(...taken);
  setNetwork(next);
  return true;
};

export const undo = () => {
  const step = state.steps.pop();
  if (!state.steps.length) return setNetwork(state.original);
  state.network.move(step, -step.rate);
  setNetwork(state.network);
};

export const unchange = () => {
  state.steps = [];
  setNetwork(state.original);
};

// Fetches the network that the server shows.
export const loadModel = async () => {
  const answer = await fetch("api/model");
  if (!answer.ok) throw new Error((await answer.json()).detail);
  const info = await answer.json();
  if (info.version === state.info?.version && info.name === state.info.name) return;
  const theta = await (await fetch("api/model/theta")).arrayBuffer();
  state.info = info;
  state.original = Network.fromBytes(theta, info);
  state.steps = [];
  state.unit = Math.min(state.unit, info.D_H - 1);
  state.network = state.original;
  forward();
  tell("model", "network", "input", "unit", "label");
};

// All numbers of the present drawing, as lists.
export const numbers = () => {
  const { network, X, seen, label, info } = state;
  const all = { classes: info.classes, X, ...seen };
  if (label !== null) {
    const L = targets();
    Object.assign(all, { L, E: network.error(seen.A2, L), ...network.deltas(seen, L) });
  }
  return Object.fromEntries(Object.entries(all).map(([key, v]) => [key, ArrayBuffer.isView(v) ? Array.from(v) : v]));
};
