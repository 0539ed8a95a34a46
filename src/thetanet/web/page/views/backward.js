// Backward: choose the right digit, see delta3, delta2 and the gradient, take steps of descent, check a derivative.

import { bars, h, show } from "../elements.js";
import { paintSigned } from "../paint.js";
import { largest } from "../network.js";
import { descend, on, state, targets, tell, undo, unchange } from "../state.js";
import { captioned, card, formula, pointable, unitGrid } from "./parts.js";

const sub = (name, index) => `<msub><mi>${name}</mi><mi>${index}</mi></msub>`;
const ERROR = `<mi>E</mi><mo>=</mo><mo>−</mo><munder><mo>∑</mo><mi>k</mi></munder><mo>[</mo>${sub("L", "k")}<mi>ln</mi>${sub("Y", "k")}<mo>+</mo><mo>(</mo><mn>1</mn><mo>−</mo>${sub("L", "k")}<mo>)</mo><mi>ln</mi><mo>(</mo><mn>1</mn><mo>−</mo>${sub("Y", "k")}<mo>)</mo><mo>]</mo>`;
const DELTA3 = `${sub("δ3", "k")}<mo>=</mo>${sub("Y", "k")}<mo>−</mo>${sub("L", "k")}`;
const DELTA2 = `${sub("δ2", "j")}<mo>=</mo><munder><mo>∑</mo><mi>k</mi></munder><msub><mi>W2</mi><mrow><mi>j</mi><mi>k</mi></mrow></msub>${sub("δ3", "k")}<mo>·</mo>${sub("Z", "j")}<mo>(</mo><mn>1</mn><mo>−</mo>${sub("Z", "j")}<mo>)</mo>`;
const SIX = `<mfrac><mrow><mo>∂</mo><mi>E</mi></mrow><mrow><mo>∂</mo><msub><mi>Θ2</mi><mrow><mi>j</mi><mi>k</mi></mrow></msub></mrow></mfrac><mo>=</mo>${sub("Z", "j")}${sub("δ3", "k")}<mspace width="0.7em"/><mtext>(6)</mtext>`;
const SEVEN = `<mfrac><mrow><mo>∂</mo><mi>E</mi></mrow><mrow><mo>∂</mo><msub><mi>Θ1</mi><mrow><mi>i</mi><mi>j</mi></mrow></msub></mrow></mfrac><mo>=</mo>${sub("X", "i")}${sub("δ2", "j")}<mspace width="0.7em"/><mtext>(7)</mtext>`;

export const backward = (panel, shown) => {
  let seen = null, L = null, delta3 = null, delta2 = null, bars3 = null, chosen = false;
  const weight = { layer: 2, row: 1, column: 0 };
  const choices = h("div", { class: "choices" });
  const error = formula(ERROR, "E is minus the sum over k of L k log Y k plus one minus L k times log of one minus Y k");
  const three = formula(DELTA3, "delta3 k is Y k minus L k");
  const two = formula(DELTA2, "delta2 j is the sum over k of W2 j k delta3 k, times Z j times one minus Z j");
  const six = formula(SIX, "Equation 6: dE by d Theta2 j k is Z j delta3 k");
  const seven = formula(SEVEN, "Equation 7: dE by d Theta1 i j is X i delta2 j");
  const holder3 = h("div");
  const history = h("p", { id: "error-history", "aria-live": "polite" });
  const rate = h("input", { type: "number", id: "rate", min: "0", step: "any", value: "0.05" });
  const once = h("button", { type: "button", class: "main", id: "step", onclick: () => go(1) }, "One step of descent");
  const ten = h("button", { type: "button", onclick: () => go(10) }, "Ten steps");
  const back = h("button", { type: "button", id: "step-back", onclick: undo }, "Undo");
  const reset = h("button", { type: "button", onclick: unchange }, "Back to the model");

  // Before the grid asks to hear of changes: it shows what is computed here.
  on("input network label theme", () => paint());
  const grid = unitGrid(
    "Hidden units, lit by delta2", (j) => (delta2 ? Math.abs(delta2[j]) / largestDelta() : 0),
    () => (delta2 ? Array.from(delta2, Math.abs) : new Array(state.info.D_H).fill(0)), shown,
  );
  const largestDelta = () => delta2.reduce((a, b) => Math.max(a, Math.abs(b)), 1e-300);

  const one = pointable("Gradient by the weights of this unit: choose one by arrow keys", () => 28, () => 28, (c, r, chosen) => {
    if (chosen) pick(1, 28 * r + c + 1, state.unit);
  });
  const second = pointable("Gradient by Theta2, a row for each output: choose one by arrow keys",
    () => state.info.D_H, () => state.info.D_O, (c, r, chosen) => {
      if (chosen) pick(2, c + 1, r);
    });
  second.classList.add("strip");
  const unitName = h("span");
  const layer = h("select", { id: "weight-layer" }, h("option", { value: "1" }, "Theta(1)"), h("option", { value: "2" }, "Theta(2)"));
  const row = h("input", { type: "number", min: "0", id: "weight-row" });
  const column = h("input", { type: "number", min: "0", id: "weight-column" });
  const derivative = h("p", { class: "formula live", id: "derivative", "aria-live": "polite" });

  const pick = (l, r, c) => {
    const { D_I, D_H, D_O } = state.info, clip = (v, most) => Math.min(most, Math.max(0, Math.round(v) || 0));
    chosen = true;
    Object.assign(weight, { layer: l, row: clip(r, l === 1 ? D_I : D_H), column: clip(c, (l === 1 ? D_H : D_O) - 1) });
    check();
  };
  for (const input of [layer, row, column]) {
    input.onchange = () => pick(Number(layer.value), row.valueAsNumber, column.valueAsNumber);
  }

  const check = () => {
    if (!shown() || !delta3) return;
    if (!chosen) {
      // A weight with a large derivative is worth a look.
      const k = largest(delta3.map(Math.abs));
      Object.assign(weight, { layer: 2, row: largest(seen.Z) + 1, column: k });
    }
    const { layer: l, row: r, column: c } = weight;
    layer.value = l, row.value = r, column.value = c;
    const origin = r === 0 ? 1 : l === 1 ? state.X[r - 1] : seen.Z[r - 1];
    const analytic = origin * (l === 1 ? delta2[c] : delta3[c]);
    const numeric = state.network.numeric(state.X, L, l, r, c);
    const apart = Math.abs(analytic - numeric) / Math.max(Math.abs(analytic), Math.abs(numeric), 1e-300);
    derivative.textContent = `analytic ${analytic.toExponential(6)}   numeric ${numeric.toExponential(6)}   relative difference ${apart.toExponential(1)}`;
    Object.assign(derivative.dataset, { analytic, numeric });
  };

  const go = (count) => {
    const size = rate.valueAsNumber;
    if (state.label === null) return;
    if (!(size > 0)) history.textContent = "The rate must be a number above 0.";
    else if (!descend(size, count)) history.textContent = "Theta would go out of all bounds: choose a smaller rate.";
  };

  panel.append(
    h("fieldset", {}, h("legend", {}, "Which digit is it? The target L is 1 for it and 0 for the others."), choices),
    h("div", { class: "columns" },
      h("section", {}, h("h2", {}, "Error and descent"), error.box,
        h("div", { class: "row" }, once, ten, back, reset), h("div", { class: "row" }, h("label", {}, "Rate", rate)),
        history,
        h("p", { class: "small" }, "Steps change a copy of Theta in this page: Forward, Backward and Blind spots show it, until you go back to the model.")),
      card("δ3, at the outputs", three.box, holder3)),
    h("div", { class: "columns" },
      h("section", {}, h("h2", {}, "Gradient by Theta(1): unit ", unitName), seven.box, captioned(one, "∂E/∂W1 of this unit, pixel by pixel")),
      card("Gradient by Theta(2)", six.box, h("div", { class: "wide" }, captioned(second, "∂E/∂W2: a row for each output, a column for each unit")))),
    card("Is the gradient right?",
      h("p", { class: "small" }, "Choose any weight, here or by a click in the two pictures: its analytic derivative, and the numeric one from E at four places around it. Row 0 is the bias."),
      h("div", { class: "row" }, h("label", {}, "Weight of", layer), h("label", {}, "row", row), h("label", {}, "column", column)), derivative),
    card("δ2, at the hidden units", two.box, h("p", { class: "small" }, "A unit is as strong in colour as its |δ2|."), grid.root),
  );

  const rename = () => {
    bars3 = bars(state.info.classes, "delta3");
    holder3.replaceChildren(bars3.list);
    choices.replaceChildren(
      ...state.info.classes.map((name, k) =>
        h("label", {}, h("input", { type: "radio", name: "target", value: k, onchange: () => ((state.label = k), tell("label")) }), name)),
    );
  };

  const paint = () => {
    if (!shown()) return;
    if (!bars3) rename();
    [...choices.querySelectorAll("input")].forEach((input, k) => (input.checked = k === state.label));
    const known = state.label !== null;
    once.disabled = ten.disabled = !known;
    back.disabled = !state.steps.length;
    reset.disabled = state.network === state.original;
    seen = state.seen;
    L = targets();
    if (!known) {
      delta3 = delta2 = null;
      error.live.textContent = "choose the right digit first";
      history.textContent = derivative.textContent = two.live.textContent = three.live.textContent = "";
      bars3.set(new Float64Array(L.length), { text: () => "–" });
      for (const canvas of [one, second]) paintSigned(canvas, new Float64Array(784));
      return;
    }
    ({ delta3, delta2 } = state.network.deltas(seen, L));
    const E = state.network.error(seen.A2, L);
    error.live.textContent = `= ${E.toFixed(6)}`;
    // E of the steps that were taken for this drawing and this target.
    const before = state.steps.filter((step) => step.X === state.X && step.L.every((v, k) => v === L[k])).map((step) => step.E);
    history.textContent = before.length ? `E: ${[...before.slice(-6), E].map((v) => v.toFixed(6)).join(" → ")}` : "";
    bars3.set(delta3, { text: (v) => show(v, 5), marked: state.label });
    three.live.textContent = "";
    paintUnit();
    const { D_H, D_O } = state.network, all = new Float64Array(D_H * D_O);
    for (let k = 0; k < D_O; k++) for (let j = 0; j < D_H; j++) all[k * D_H + j] = seen.Z[j] * delta3[k];
    paintSigned(second, all, D_H);
    check();
  };

  const paintUnit = () => {
    if (!shown() || !delta2) return;
    const j = state.unit;
    unitName.textContent = j;
    two.live.textContent = `unit ${j}: δ2 = ${show(delta2[j], 6)}`;
    seven.live.textContent = `δ2 of unit ${j} = ${show(delta2[j], 6)}`;
    paintSigned(one, state.X.map((x) => x * delta2[j]));
  };

  on("unit", paintUnit);
  on("model", () => ((bars3 = null), (chosen = false), paint()));
  return () => {
    if (!shown()) return;
    paint();
    grid.repaint();
  };
};
