// Mistakes: the confusion matrix, and the test images that the network gets wrong; a click loads one.

import { h, percent } from "../elements.js";
import { paintInk } from "../paint.js";
import { on, state } from "../state.js";
import { card } from "./parts.js";

export const mistakes = (panel, shown, { load }) => {
  let version = null, found = null, images = null, only = null;
  const summary = h("p", { "aria-live": "polite" }), table = h("div", { class: "wide" });
  const gallery = h("ul", { class: "gallery" });
  const all = h("button", { type: "button", hidden: true, onclick: () => filter(null) }, "Show all");
  const some = h("span", { class: "small" });
  const note = h("p", { class: "message" });
  panel.append(
    note,
    card("Test images that are answered wrong", summary),
    card("Confusion", table),
    card("The mistakes, the surest first", h("div", { class: "row" }, all, some), gallery),
  );

  const filter = (pair) => {
    only = pair;
    all.hidden = !pair;
    const shown = paintGallery();
    const count = pair ? found.confusion[found.labels.indexOf(pair[0])][found.labels.indexOf(pair[1])] : found.mistakes;
    some.textContent = shown < count ? `${shown} of ${count.toLocaleString("en")} shown` : "";
  };

  const paintTable = () => {
    const { labels, confusion } = found;
    const most = Math.max(1, ...confusion.flatMap((row, i) => row.filter((_, j) => i !== j)));
    const head = h("tr", {}, h("th", { scope: "col" }, "true"), ...labels.map((name) => h("th", { scope: "col" }, name)));
    const rows = confusion.map((row, i) =>
      h("tr", {}, h("th", { scope: "row" }, labels[i]), ...row.map((n, j) => {
        if (i === j || !n) return h("td", { class: i === j ? "right" : "" }, n ? n.toLocaleString("en") : "");
        const cell = h("td", { class: "wrong" }, h("button", {
          type: "button", title: `${n} of ${labels[i]} taken for ${labels[j]}`,
          "aria-label": `${n} images of ${labels[i]} taken for ${labels[j]}: show them`,
          onclick: () => filter([labels[i], labels[j]]),
        }, n));
        cell.style.setProperty("--heat", `${Math.round(20 + (50 * n) / most)}%`);
        return cell;
      })));
    table.replaceChildren(h("table", { class: "confusion" },
      h("caption", {}, "A row for each true digit, a column for each answer; a number shows its mistakes below."),
      h("thead", {}, head), h("tbody", {}, ...rows)));
  };

  const paintGallery = () => {
    const items = found.worst.flatMap((mistake, n) => {
      if (only && (mistake.true !== only[0] || mistake.predicted !== only[1])) return [];
      const canvas = h("canvas", { "aria-hidden": "true" });
      const pixels = images.subarray(784 * n, 784 * (n + 1));
      paintInk(canvas, pixels, 255);
      const name = `${mistake.true}, taken for ${mistake.predicted}`;
      return [h("li", {}, h("button", {
        type: "button", onclick: () => load(pixels.slice(), mistake.true, `test image ${mistake.row}: ${name}`),
      }, canvas, name, h("span", { class: "small" }, percent(mistake.probability, 1))))];
    });
    gallery.replaceChildren(...items);
    return items.length;
  };

  const fill = async () => {
    if (!shown() || version === state.info.version) return;
    version = state.info.version;
    summary.textContent = "Looking through the test images …";
    try {
      const answer = await fetch("api/mistakes");
      if (!answer.ok) throw new Error((await answer.json()).detail);
      found = await answer.json();
      const rows = found.worst.map(({ row }) => row);
      images = new Uint8Array(784 * rows.length);
      for (let n = 0; n < rows.length; n += 200) {
        const answer = await fetch(`api/test-images?rows=${rows.slice(n, n + 200).join(",")}`);
        images.set(new Uint8Array(await answer.arrayBuffer()), 784 * n);
      }
      version = found.version; // the server may have turned to another network meanwhile
      summary.textContent = `${found.mistakes.toLocaleString("en")} of ${found.samples.toLocaleString("en")} wrong: ${percent(found.mistakes / found.samples)}. E per image ${found.error.toFixed(4)}.`;
      if (found.confusion) paintTable();
      filter(null);
    } catch (problem) {
      version = null;
      summary.textContent = problem.message;
    }
  };
  on("model", fill);
  on("theme", () => found && shown() && paintGallery());
  const warn = () => {
    note.textContent = state.steps.length ? "These are mistakes of the model, without the steps of descent." : "";
  };
  on("network model", warn);
  return () => (warn(), fill());
};
