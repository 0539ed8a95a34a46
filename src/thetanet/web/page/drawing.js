// The canvas that is drawn on, by mouse, finger or pen: strokes, undo, clear; and its ink as numbers.

import { paintInk } from "./paint.js";

export const SIZE = 280;
const PEN = 22;

export class Drawing {
  // changed() is called at most once a picture frame.
  constructor(canvas, changed) {
    this.canvas = canvas;
    this.strokes = [];
    this.image = null;
    this.changed = changed;
    this.asked = null;
    canvas.width = canvas.height = SIZE;
    this.context = canvas.getContext("2d", { willReadFrequently: true });
    this.listen();
  }

  listen() {
    const { canvas } = this;
    let stroke = null, pointer = null; // a second finger, or the palm, does not draw
    const at = (event) => {
      const box = canvas.getBoundingClientRect();
      return [((event.clientX - box.left) * SIZE) / box.width, ((event.clientY - box.top) * SIZE) / box.height];
    };
    canvas.addEventListener("pointerdown", (event) => {
      if (event.button || stroke) return;
      pointer = event.pointerId;
      event.preventDefault();
      canvas.setPointerCapture(event.pointerId);
      stroke = [at(event)];
      if (this.image) this.clear();
      this.strokes.push(stroke);
      this.ask();
    });
    canvas.addEventListener("pointermove", (event) => {
      if (!stroke || event.pointerId !== pointer) return;
      // All the places the pointer has been at since the last event.
      const events = event.getCoalescedEvents?.() ?? [];
      for (const between of events.length ? events : [event]) stroke.push(at(between));
      this.ask();
    });
    const end = (event) => {
      if (event.pointerId === pointer) stroke = pointer = null;
    };
    for (const name of ["pointerup", "pointercancel", "lostpointercapture"]) canvas.addEventListener(name, end);
  }

  // Everything anew, once a picture frame: a stroke painted over itself as it grows would have harder edges.
  ask() {
    this.asked ??= requestAnimationFrame(() => {
      this.asked = null;
      this.redraw();
      this.changed();
    });
  }

  draw(stroke) {
    const { context } = this;
    context.lineWidth = PEN;
    context.lineCap = context.lineJoin = "round";
    context.strokeStyle = getComputedStyle(this.canvas).color;
    context.beginPath();
    context.moveTo(...stroke[0]);
    if (stroke.length === 1) context.lineTo(stroke[0][0] + 0.01, stroke[0][1]);
    for (const point of stroke.slice(1)) context.lineTo(...point);
    context.stroke();
  }

  redraw() {
    this.context.clearRect(0, 0, SIZE, SIZE);
    if (this.image) {
      const small = document.createElement("canvas");
      paintInk(small, this.image, 255);
      this.context.imageSmoothingEnabled = false;
      this.context.drawImage(small, 0, 0, SIZE, SIZE);
    }
    for (const stroke of this.strokes) this.draw(stroke);
  }

  // Shows an image of 784 bytes instead of strokes, until somebody draws.
  show(pixels) {
    cancelAnimationFrame(this.asked);
    this.asked = null;
    this.strokes = [];
    this.image = pixels;
    this.redraw();
  }

  undo() {
    if (!this.strokes.length) return;
    this.strokes.pop();
    this.ask();
  }

  clear() {
    this.strokes = [];
    this.image = null;
    this.ask();
  }

  // SIZE * SIZE numbers, 0 is paper, 1 is ink.
  ink() {
    const { data } = this.context.getImageData(0, 0, SIZE, SIZE);
    const ink = new Float64Array(SIZE * SIZE);
    for (let p = 0; p < ink.length; p++) ink[p] = data[4 * p + 3] / 255;
    return ink;
  }
}
