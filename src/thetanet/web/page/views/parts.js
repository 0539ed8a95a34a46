// What several views are made of: formulas, pictures that can be pointed at, the grid of hidden units.

import { h } from "../elements.js";
import { css, paintMosaic } from "../paint.js";
import { on, setUnit, state } from "../state.js";

// A formula in MathML, and where the live numbers go beside it.
export const formula = (mathml, label) => {
  const live = h("span", { class: "live", "aria-live": "off" });
  const box = h("p", { class: "formula" });
  box.innerHTML = `<math aria-label="${label}">${mathml}</math> `;
  box.append(live);
  return { box, live };
};

export const card = (title, ...children) => h("section", {}, h("h2", {}, title), ...children);

export const captioned = (canvas, text) => h("figure", {}, canvas, h("figcaption", {}, text));

// A picture whose cells can be pointed at, clicked, or reached by the arrow keys. look(column, row, chosen)
export const pointable = (label, columns, rows, look, from = null) => {
  const canvas = h("canvas", { class: "picture", tabindex: "0", role: "application", "aria-label": label });
  let column = 0, row = 0;
  const at = (event) => {
    const box = canvas.getBoundingClientRect();
    column = Math.min(columns() - 1, Math.max(0, Math.floor(((event.clientX - box.left) / box.width) * columns())));
    row = Math.min(rows() - 1, Math.max(0, Math.floor(((event.clientY - box.top) / box.height) * rows())));
  };
  canvas.addEventListener("pointermove", (event) => (at(event), look(column, row, false)));
  canvas.addEventListener("click", (event) => (at(event), look(column, row, true)));
  canvas.addEventListener("keydown", (event) => {
    const move = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key];
    if (!move && event.key !== "Enter") return;
    event.preventDefault();
    [column, row] = from?.() ?? [column, row];
    column = (column + (move?.[0] ?? 0) + columns()) % columns();
    row = (row + (move?.[1] ?? 0) + rows()) % rows();
    look(column, row, true);
  });
  return canvas;
};

// The weights into the hidden units as pictures, each lit as brightly as light(j) says (0 to 1); a click chooses one.
// telling(): how much each unit matters now; those that matter most are shown, or all of them.
export const unitGrid = (label, light, telling, shown) => {
  const FEW = 60, GAP = 2, CELL = 30;
  let units = [], columns = 10, pending = 0;
  const picture = pointable(
    `${label}; arrow keys go from unit to unit`, () => columns, () => Math.ceil(units.length / columns),
    (column, row, chosen) => {
      const j = units[row * columns + column];
      if (j === undefined) return;
      picture.title = `unit ${j}`;
      if (chosen) setUnit(j);
    },
    () => {
      const n = units.indexOf(state.unit);
      return n < 0 ? null : [n % columns, Math.floor(n / columns)];
    },
  );
  picture.className = "";
  const veil = h("canvas", { "aria-hidden": "true" });
  const which = h("select", {}, h("option", { value: "few" }, "those that matter most here"), h("option", { value: "all" }, "all"));
  const number = h("input", { type: "number", min: "0", value: "0" });
  const said = h("p", { class: "hidden", role: "status" });
  const root = h(
    "div", {},
    h("div", { class: "row" }, h("label", {}, "Units shown", which), h("label", {}, "Look at unit", number)),
    h("div", { class: "mosaic" }, picture, veil), said,
  );

  const chooseUnits = () => {
    const { D_H } = state.info;
    const order = Array.from({ length: D_H }, (_, j) => j);
    if (which.value === "all") units = order;
    else {
      const matter = telling();
      units = order.sort((a, b) => matter[b] - matter[a]).slice(0, FEW);
    }
    if (!state.unitChosen && !state.blank && which.value === "few") setUnit(units[0], false);
    columns = units.length > FEW ? 40 : 10;
    const { one, D_H: width } = state.network;
    paintMosaic(picture, units.length, columns, (n, i) => one[(i + 1) * width + units[n]], GAP);
    paintVeil();
  };

  const paintVeil = () => {
    if (!shown()) return;
    veil.width = picture.width;
    veil.height = picture.height;
    const context = veil.getContext("2d");
    units.forEach((j, n) => {
      const x = (n % columns) * CELL, y = Math.floor(n / columns) * CELL;
      context.fillStyle = css("paper", 0.82 * (1 - Math.min(1, light(j))));
      context.fillRect(x, y, 28, 28);
      if (j === state.unit) {
        context.strokeStyle = css("ink");
        context.lineWidth = 2;
        context.strokeRect(x + 1, y + 1, 26, 26);
      }
    });
  };

  const repaint = () => {
    if (!shown()) return;
    number.max = state.info.D_H - 1;
    number.value = state.unit;
    chooseUnits();
  };
  // While somebody draws, the units stay where they are; a moment later those that matter now take their places.
  const later = () => {
    if (!shown()) return;
    paintVeil();
    clearTimeout(pending);
    pending = setTimeout(() => which.value === "few" && repaint(), 350);
  };
  which.onchange = repaint;
  number.onchange = () => setUnit(number.valueAsNumber);
  on("model network theme", repaint);
  on("input label", later);
  on("unit", () => {
    if (!shown()) return;
    number.value = state.unit;
    if (state.unitChosen) said.textContent = `unit ${state.unit}`;
    paintVeil();
  });
  return { root, repaint };
};
