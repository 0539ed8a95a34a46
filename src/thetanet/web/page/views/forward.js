// Forward: X, A1, Z, A2, Y as pictures, and the way through one hidden unit, number by number.

import { bars, h, show } from "../elements.js";
import { largest } from "../network.js";
import { paintSigned } from "../paint.js";
import { on, state } from "../state.js";
import { captioned, card, formula, pointable, unitGrid } from "./parts.js";

const A1 = "<msub><mi>A1</mi><mi>j</mi></msub><mo>=</mo><msub><mi>b1</mi><mi>j</mi></msub><mo>+</mo><munder><mo>∑</mo><mi>i</mi></munder><msub><mi>X</mi><mi>i</mi></msub><msub><mi>W1</mi><mrow><mi>i</mi><mi>j</mi></mrow></msub>";
const Z = "<msub><mi>Z</mi><mi>j</mi></msub><mo>=</mo><mi>σ</mi><mo>(</mo><msub><mi>A1</mi><mi>j</mi></msub><mo>)</mo><mo>=</mo><mfrac><mn>1</mn><mrow><mn>1</mn><mo>+</mo><msup><mi>e</mi><mrow><mo>−</mo><msub><mi>A1</mi><mi>j</mi></msub></mrow></msup></mrow></mfrac>";
const A2 = "<msub><mi>A2</mi><mi>k</mi></msub><mo>=</mo><msub><mi>b2</mi><mi>k</mi></msub><mo>+</mo><munder><mo>∑</mo><mi>j</mi></munder><msub><mi>Z</mi><mi>j</mi></msub><msub><mi>W2</mi><mrow><mi>j</mi><mi>k</mi></mrow></msub><mo>,</mo><mspace width='0.6em'/><msub><mi>Y</mi><mi>k</mi></msub><mo>=</mo><mi>σ</mi><mo>(</mo><msub><mi>A2</mi><mi>k</mi></msub><mo>)</mo>";

// How much each unit moves the answer's A2: |Z_j W2_jk| for the largest output k.
const telling = () => {
  const { network, seen } = state, k = largest(seen.Y);
  return Array.from(seen.Z, (z, j) => Math.abs(z * network.two[(j + 1) * network.D_O + k]));
};

export const forward = (panel, shown) => {
  const grid = unitGrid("Weights into hidden units", (j) => state.seen.Z[j], telling, shown);

  const outputs = formula(A2, "A2 k is b2 k plus the sum over j of Z j W2 j k; Y k is sigma of A2 k");
  const Y = h("div"), unitName = h("span");
  const sum = formula(A1, "A1 j is b1 j plus the sum over i of X i W1 i j");
  const unit = formula(Z, "Z j is sigma of A1 j");
  const weights = pointable("Weights W1 into this unit, pixel by pixel", () => 28, () => 28, (c, r) => pixel(28 * r + c));
  const products = pointable("Products X times W1, pixel by pixel", () => 28, () => 28, (c, r) => pixel(28 * r + c));
  const pixelText = h("p", { class: "small", "aria-live": "polite" }, "Point at a pixel to see its product.");
  const way = h("div");
  let outputBars = null, wayBars = null;

  const pixel = (i) => {
    const w = state.network.one[(i + 1) * state.network.D_H + state.unit], x = state.X[i];
    pixelText.textContent = `pixel ${i} (row ${Math.floor(i / 28)}, column ${i % 28}): X W1 = ${show(x)} · ${show(w)} = ${show(x * w)}`;
  };

  panel.append(
    h("div", { class: "columns" },
      h("div", { class: "stack" },
        card("Outputs Y", outputs.box, Y,
          h("p", { class: "small" }, "How sure: Y of the answer times 1 − Y of all the others.")),
        card("Hidden units Z",
          h("p", { class: "small" }, "Each picture is one unit's weights: blue is negative, red positive. A unit is as strong in colour as its activation Z."),
          grid.root)),
      h("section", {}, h("h2", {}, "Hidden unit ", unitName), sum.box, unit.box,
        h("div", { class: "pictures" },
          captioned(weights, "W1, the weights"), captioned(products, "X W1, what the drawing puts in")),
        pixelText, h("h3", {}, "Its way to each output: Z W2"), way)),
  );

  const rename = () => {
    outputBars = bars(state.info.classes, "outputs Y");
    wayBars = bars(state.info.classes, "Z W2 of this unit");
    Y.replaceChildren(outputBars.list);
    way.replaceChildren(wayBars.list);
  };

  const paint = () => {
    if (!shown()) return;
    if (!outputBars) rename();
    const { network, seen, X, unit: j } = state, best = largest(seen.Y);
    outputBars.set(seen.Y, { text: (v) => show(v, 5), marked: best });
    outputs.live.textContent = `largest: k = ${state.info.classes[best]}, A2 = ${show(seen.A2[best])}, Y = ${show(seen.Y[best], 5)}`;
    const W = network.unit(j), product = W.map((w, i) => w * X[i]);
    const total = product.reduce((a, b) => a + b, 0);
    unitName.textContent = j;
    sum.live.textContent = `= ${show(network.one[j])} + ${show(total)} = ${show(seen.A1[j])}`;
    unit.live.textContent = `= ${show(seen.Z[j], 5)}`;
    paintSigned(weights, W);
    paintSigned(products, product);
    const ways = Float64Array.from(state.info.classes, (_, k) => seen.Z[j] * network.two[(j + 1) * network.D_O + k]);
    const top = Math.max(1, ...ways.map(Math.abs));
    wayBars.set(ways, { share: (v) => v / top });
  };
  on("input network unit theme", paint);
  on("model", () => ((outputBars = null), paint()));
  return () => {
    if (!shown()) return;
    paint();
    grid.repaint();
  };
};
