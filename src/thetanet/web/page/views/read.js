// Read a picture: numbers in a photograph or scan; the server reads, the page shows what it found.

import { h, percent } from "../elements.js";
import { css, paintInk } from "../paint.js";
import { on } from "../state.js";
import { card } from "./parts.js";

const MOST = 20_000_000;

export const read = (panel, shown, { load, choose }) => {
  let found = null;
  const input = h("input", { type: "file", accept: "image/*", id: "file", onchange: () => input.files[0] && send(input.files[0]) });
  const drop = h("div", { class: "drop" }, h("label", { for: "file" }, "A picture with handwritten numbers: choose one, drop it here, or paste it"), h("div", { class: "row" }, input));
  const message = h("p", { class: "message", role: "status" });
  const text = h("p", { class: "numbers-read", id: "numbers-read", "aria-live": "polite" });
  const image = h("img", { alt: "The picture that was read" }), boxes = h("canvas", { "aria-hidden": "true" });
  const page = h("div", { class: "page", hidden: true }, image, boxes);
  const digits = h("ul", { class: "gallery" });
  const result = h("section", { "aria-label": "What was found", hidden: true }, page, digits);
  panel.append(
    card("Read a picture", h("p", { class: "small" }, "The picture goes to this server only, and is not kept."), drop, message, text),
    result);

  // Wherever it is dropped: the browser would leave the page for the file.
  addEventListener("dragover", (event) => (event.preventDefault(), drop.classList.add("over")));
  addEventListener("dragleave", () => drop.classList.remove("over"));
  addEventListener("drop", (event) => {
    event.preventDefault();
    drop.classList.remove("over");
    if (shown() && event.dataTransfer.files[0]) send(event.dataTransfer.files[0]);
  });
  document.addEventListener("paste", (event) => {
    if (shown() && event.clipboardData.files[0]) send(event.clipboardData.files[0]);
  });

  const send = async (file) => {
    text.textContent = "";
    digits.replaceChildren();
    page.hidden = result.hidden = true;
    found = null;
    if (file.size > MOST) {
      message.textContent = `The file has ${(file.size / 1e6).toFixed(1)} MB; at most ${MOST / 1e6} MB are read.`;
      return;
    }
    message.textContent = "Reading …";
    try {
      const answer = await fetch("api/read", { method: "POST", body: file, headers: { "content-type": file.type || "application/octet-stream" } });
      if (!answer.ok) throw new Error((await answer.json()).detail);
      found = await answer.json();
    } catch (problem) {
      message.textContent = problem.message;
      return;
    }
    message.textContent = found.digits.length ? "" : "No digits were found in this picture.";
    text.textContent = found.lines.join("\n");
    const old = image.src;
    image.src = URL.createObjectURL(file);
    if (old) URL.revokeObjectURL(old);
    page.hidden = result.hidden = false;
    paint();
  };

  const paint = () => {
    if (!found || !shown()) return;
    boxes.width = found.width, boxes.height = found.height;
    const context = boxes.getContext("2d"), line = Math.max(2, found.width / 400);
    context.lineWidth = line;
    context.font = `${12 * line}px system-ui, sans-serif`;
    found.digits.forEach(({ box: [top, left, bottom, right], label, confidence }) => {
      context.strokeStyle = context.fillStyle = css(confidence < 0.5 ? "positive" : "accent");
      context.strokeRect(left, top, right - left, bottom - top);
      context.fillText(label ?? "?", left, Math.max(12 * line, top - 2 * line));
    });
    digits.replaceChildren(...found.digits.map(({ label, confidence, frame }) => {
      const pixels = Uint8Array.from(atob(frame), (c) => c.charCodeAt(0)), canvas = h("canvas", { "aria-hidden": "true" });
      paintInk(canvas, pixels, 255);
      return h("li", {}, h("button", { type: "button", onclick: () => (load(pixels, null, "from a picture"), choose("Forward", true)) },
        canvas, `${label ?? "?"}`, h("span", { class: "small" }, `${percent(confidence, 1)} sure`)));
    }));
  };
  on("theme", paint);
  return paint;
};
