// What the network is blind to: the input that excites a unit or an output most, and the least change of the
// drawing that makes it another digit.

import { h, percent, show } from "../elements.js";
import { PIXEL, confidence, largest } from "../network.js";
import { paintInk, paintSigned } from "../paint.js";
import { on, state } from "../state.js";
import { captioned, card, formula } from "./parts.js";

const NORM = 9.2; // root mean square of |X| over MNIST's images: as much ink as a digit has
const clip = (v) => Math.min(1, Math.max(0, v));
const norm = (v) => Math.sqrt(v.reduce((sum, x) => sum + x * x, 0));
const ASCENT = "<mi>X</mi><mo>←</mo><mi>X</mi><mo>+</mo><mi>η</mi><mfrac><mrow><mo>∂</mo><mi>A</mi></mrow><mrow><mo>∂</mo><mi>X</mi></mrow></mfrac>";

// Ink from 0 to 1, no more of it than a digit has.
const feasible = (X) => {
  const inked = X.map(clip), size = norm(inked);
  return size > NORM ? inked.map((x) => (x * NORM) / size) : inked;
};

// One step up; the gradient comes as a function of X.
export const ascend = (X, gradient, rate) => {
  const g = gradient(X), size = norm(g) || 1;
  return feasible(X.map((x, i) => x + (rate * g[i]) / size));
};

// The least change of X, about, after which `target` is the answer: linear steps (Moosavi-Dezfooli et al. 2016).
// The answer is that for whole grey levels, which a picture has: rounding may cross the border once more.
export const flip = (network, X, target, most = 60) => {
  let now = X.slice();
  for (let n = 0; n < most; n++) {
    const pixels = now.map((x) => Math.round(PIXEL * x) / PIXEL);
    const seen = network.forward(pixels), best = largest(seen.Y);
    if (best === target) return pixels;
    const weights = new Float64Array(network.D_O);
    weights[target] = 1, weights[best] = -1;
    const g = network.inputGradient(seen, weights);
    // Pixels at the end of their range cannot go further: only the others count.
    const free = g.map((v, i) => ((now[i] <= 0 && v < 0) || (now[i] >= 1 && v > 0) ? 0 : v));
    const size = free.reduce((sum, v) => sum + v * v, 0);
    if (!size) return null;
    const gap = seen.A2[best] - seen.A2[target] + 0.02;
    now = now.map((x, i) => clip(x + (1.05 * gap * free[i]) / size));
  }
  return null;
};

export const blind = (panel, shown, { load }) => {
  let X = null, running = 0;
  const what = h("select", { id: "excite" });
  const picture = h("canvas", { class: "picture", role: "img", "aria-label": "The input that excites it most" });
  const ascent = formula(ASCENT, "X becomes X plus eta times the gradient of A by X");
  const go = h("button", { type: "button", class: "main", onclick: () => start() }, "Climb from grey");
  const fromHere = h("button", { type: "button", onclick: () => start(state.X.slice()) }, "Climb from the drawing");
  const use = h("button", { type: "button", onclick: () => X && load(Uint8Array.from(X, (x) => Math.round(PIXEL * x)), null, "an input that was made to excite") }, "Look at it");

  const to = h("select", { id: "flip-to" }), flipText = h("p", { "aria-live": "polite", id: "flip-text" });
  const [before, change, after] = ["the drawing", "the change", "the changed drawing"].map((name) => h("canvas", { class: "picture", role: "img", "aria-label": name }));
  let changed = null;
  const useFlip = h("button", { type: "button", disabled: true, onclick: () => changed && load(Uint8Array.from(changed, (x) => Math.round(PIXEL * x)), null, "a drawing changed to flip the answer") }, "Look at it");

  panel.append(
    h("div", { class: "columns" },
      card("What excites it most",
        h("p", { class: "small" }, "Gradient ascent on X, with as much ink as a digit has. No digit need come out: what a network was never shown, it does not know."),
        ascent.box, h("div", { class: "row" }, h("label", {}, "Raise", what)), h("div", { class: "row" }, go, fromHere, use), picture),
      card("A small change flips the answer",
        h("p", { class: "small" }, "The least change of your drawing, about, that makes it another digit for the network."),
        h("div", { class: "row" }, h("label", {}, "Make it", to), h("button", { type: "button", class: "main", id: "flip", onclick: () => runFlip() }, "Flip"), useFlip),
        flipText,
        h("div", { class: "pictures" }, captioned(before, "before"), captioned(change, "the change"), captioned(after, "after")))),
  );

  const objective = () => {
    const { network } = state, [kind, k] = what.value.split("-");
    if (kind === "unit") {
      const W = network.unit(state.unit);
      return { gradient: () => W, value: (x) => network.forward(x).A1[state.unit], name: `A1 of unit ${state.unit}` };
    }
    const weights = new Float64Array(network.D_O);
    weights[k] = 1;
    return {
      gradient: (x) => network.inputGradient(network.forward(x), weights),
      value: (x) => network.forward(x).A2[k], name: `A2 of ${state.info.classes[k]}`,
    };
  };

  const start = (from = new Float64Array(784).fill(0.15)) => {
    const me = ++running, { gradient, value, name } = objective();
    X = feasible(from);
    let n = 0;
    const frame = () => {
      if (me !== running || !shown()) return;
      for (let k = 0; k < 3; k++) X = ascend(X, gradient, 0.35);
      n += 3;
      paintInk(picture, X);
      const { Y } = state.network.forward(X), best = largest(Y);
      ascent.live.textContent = `step ${n}: ${name} = ${show(value(X))}; the answer: ${state.info.classes[best]}, ${percent(confidence(Y), 1)} sure`;
      if (n < 90) requestAnimationFrame(frame);
    };
    frame();
  };

  const runFlip = () => {
    changed = null;
    const { network, X: drawn, info } = state, { Y } = network.forward(drawn), best = largest(Y);
    let results;
    if (to.value === "any") {
      results = info.classes.map((_, k) => (k === best ? null : flip(network, drawn, k))).map((x, k) => ({ x, k }));
    } else results = [{ x: Number(to.value) === best ? null : flip(network, drawn, Number(to.value)), k: Number(to.value) }];
    const size = ({ x }) => norm(x.map((v, i) => v - drawn[i]));
    results = results.filter(({ x }) => x).sort((a, b) => size(a) - size(b));
    if (state.blank || !results.length) {
      const already = Number(to.value) === best ? `It is a ${info.classes[best]} already.` : "No small change does it.";
      flipText.textContent = state.blank ? "Draw something first." : already;
      useFlip.disabled = true;
      return;
    }
    const [{ x, k }] = results;
    changed = x;
    useFlip.disabled = false;
    const seen = network.forward(x);
    flipText.textContent = `A change of norm ${show(size(results[0]), 3)} (${percent(size(results[0]) / norm(drawn), 1)} of the drawing's) turns ${info.classes[best]} into ${info.classes[k]}: ${percent(confidence(seen.Y), 1)} sure.`;
    paintInk(before, drawn);
    paintSigned(change, x.map((v, i) => v - drawn[i]));
    paintInk(after, x);
  };

  const name = () => {
    if (!shown()) return;
    const chosen = what.value;
    what.replaceChildren(
      ...state.info.classes.map((c, k) => h("option", { value: `output-${k}` }, `output ${c}`)),
      h("option", { value: "unit-" }, `hidden unit ${state.unit}`));
    if ([...what.options].some((option) => option.value === chosen)) what.value = chosen;
    const target = to.value;
    to.replaceChildren(h("option", { value: "any" }, "any other digit"), ...state.info.classes.map((c, k) => h("option", { value: k }, c)));
    if (target && [...to.options].some((option) => option.value === target)) to.value = target;
    if (X) paintInk(picture, X);
    else paintInk(picture, new Float64Array(784));
  };
  const blank = () => {
    for (const canvas of [before, change, after]) paintInk(canvas, new Float64Array(784));
    forget();
  };
  on("model unit theme", name);
  on("model theme", () => state.info && blank());
  const forget = () => ((changed = null), (useFlip.disabled = true), (flipText.textContent = ""));
  on("input network", forget);
  return name;
};
