// Numbers as pictures: ink on paper, and weights from blue (negative) over paper (zero) to red (positive).

const parse = (text) => {
  const digits = text.trim().replace("#", "");
  return [0, 2, 4].map((p) => parseInt(digits.slice(p, p + 2), 16));
};

let colours = null;

// The colours of the present theme, from the style sheet.
export const theme = () => {
  if (!colours) {
    const style = getComputedStyle(document.documentElement);
    const names = ["paper", "ink", "negative", "positive", "line", "accent", "faint", "soft"];
    colours = Object.fromEntries(names.map((name) => [name, parse(style.getPropertyValue(`--${name}`))]));
  }
  return colours;
};

export const forgetTheme = () => (colours = null);

export const css = (name, opacity = 1) => `rgb(${theme()[name].join(" ")} / ${opacity})`;

const mix = (from, to, share, data, p) => {
  for (let c = 0; c < 3; c++) data[p + c] = from[c] + share * (to[c] - from[c]);
  data[p + 3] = 255;
};

const put = (canvas, w, h, colour) => {
  canvas.width = w;
  canvas.height = h;
  const context = canvas.getContext("2d");
  const image = context.createImageData(w, h);
  for (let p = 0; p < w * h; p++) colour(p, image.data, 4 * p);
  context.putImageData(image, 0, 0);
};

// An image of pixels from 0 (paper) to top (ink).
export const paintInk = (canvas, values, top = 1, w = 28) => {
  const { paper, ink } = theme();
  put(canvas, w, values.length / w, (p, data, at) => {
    mix(paper, ink, Math.min(1, Math.max(0, values[p] / top)), data, at);
  });
};

// Signed numbers; the largest has the full colour.
export const paintSigned = (canvas, values, w = 28, top = null) => {
  const { paper, negative, positive } = theme();
  top ??= values.reduce((a, b) => Math.max(a, Math.abs(b)), 0) || 1;
  put(canvas, w, values.length / w, (p, data, at) => {
    const v = values[p] / top;
    mix(paper, v < 0 ? negative : positive, Math.min(1, Math.sqrt(Math.abs(v))), data, at);
  });
};

// Many pictures of 28 x 28 signed numbers side by side; each by its own largest number. value(n, i) of picture n.
export const paintMosaic = (canvas, count, columns, value, gap = 2, side = 28) => {
  const { paper, negative, positive } = theme();
  const cell = side + gap, rows = Math.ceil(count / columns);
  canvas.width = columns * cell - gap;
  canvas.height = Math.max(1, rows * cell - gap);
  const context = canvas.getContext("2d");
  const image = context.createImageData(side, side);
  for (let n = 0; n < count; n++) {
    let top = 0;
    for (let i = 0; i < side * side; i++) top = Math.max(top, Math.abs(value(n, i)));
    for (let i = 0; i < side * side; i++) {
      const v = top ? value(n, i) / top : 0;
      mix(paper, v < 0 ? negative : positive, Math.abs(v), image.data, 4 * i);
    }
    context.putImageData(image, (n % columns) * cell, Math.floor(n / columns) * cell);
  }
};
