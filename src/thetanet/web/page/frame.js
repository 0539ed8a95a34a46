// From a drawing to MNIST's frame, as thetanet.images.frame.to_mnist_frame does it for clean drawings: specks are left
// out, the digit's box is scaled to 20 pixels, its centre of mass comes to the centre of 28 x 28 pixels.

const FRAME = 28, BOX = 20, CENTRE = 14, EDGE = 0.15, SPECK = 0.02;

// Rounds halves to even numbers, as NumPy does.
const rint = (x) => {
  const down = Math.floor(x), rest = x - down;
  return rest < 0.5 ? down : rest > 0.5 ? down + 1 : down + (down % 2);
};

// The linearly interpolated percentile of values, as NumPy's.
const percentile = (values, share) => {
  const sorted = Float64Array.from(values).sort();
  const place = (sorted.length - 1) * share, low = Math.floor(place);
  return sorted[low] + (place - low) * ((sorted[low + 1] ?? sorted[low]) - sorted[low]);
};

// Parts of a mask that hang together, also by corners: a number for each pixel, and how many there are.
const parts = (mask, h, w) => {
  const label = new Int32Array(h * w), stack = [];
  let count = 0;
  for (let start = 0; start < h * w; start++) {
    if (!mask[start] || label[start]) continue;
    label[start] = ++count;
    stack.push(start);
    while (stack.length) {
      const p = stack.pop(), r = Math.floor(p / w), c = p % w;
      for (let y = Math.max(0, r - 1); y <= Math.min(h - 1, r + 1); y++) {
        for (let x = Math.max(0, c - 1); x <= Math.min(w - 1, c + 1); x++) {
          const q = y * w + x;
          if (mask[q] && !label[q]) {
            label[q] = count;
            stack.push(q);
          }
        }
      }
    }
  }
  return { label, count };
};

// Weights that resize one axis: means over areas when it shrinks, linear interpolation when it grows.
const averaging = (source, target) => {
  const scale = source / target;
  return Array.from({ length: target }, (_, t) => {
    const row = new Float64Array(source);
    if (scale >= 1) {
      const low = t * scale, high = (t + 1) * scale;
      for (let p = Math.floor(low); p < Math.min(source, Math.ceil(high)); p++) {
        row[p] = Math.max(0, Math.min(high, p + 1) - Math.max(low, p));
      }
    } else {
      const place = Math.min(Math.max((t + 0.5) * scale - 0.5, 0), source - 1);
      for (let p = 0; p < source; p++) row[p] = Math.max(0, 1 - Math.abs(place - p));
    }
    const sum = row.reduce((a, b) => a + b, 0);
    return row.map((v) => v / sum);
  });
};

const resized = (ink, h, w, height, width) => {
  const down = averaging(h, height), across = averaging(w, width);
  const half = new Float64Array(height * w);
  for (let t = 0; t < height; t++) {
    for (let r = 0; r < h; r++) {
      const weight = down[t][r];
      if (weight) for (let c = 0; c < w; c++) half[t * w + c] += weight * ink[r * w + c];
    }
  }
  const box = new Float64Array(height * width);
  for (let t = 0; t < height; t++) {
    for (let s = 0; s < width; s++) {
      let sum = 0;
      for (let c = 0; c < w; c++) sum += half[t * w + c] * across[s][c];
      box[t * width + s] = sum;
    }
  }
  return box;
};

const kept = (ink, mask, h, w) => {
  const { label, count } = parts(mask, h, w);
  const weight = new Float64Array(count + 1), rim = new Uint8Array(count + 1);
  for (let p = 0; p < h * w; p++) {
    if (!label[p]) continue;
    weight[label[p]] += ink[p];
    const r = Math.floor(p / w), c = p % w;
    if (r === 0 || c === 0 || r === h - 1 || c === w - 1) rim[label[p]] = 1;
  }
  const heaviest = Math.max(...weight);
  let inside = 0;
  for (let n = 1; n <= count; n++) if (!rim[n]) inside = Math.max(inside, weight[n]);
  const keep = weight.map((v, n) => (v >= SPECK * heaviest && (!inside || !rim[n] || v > 10 * inside) ? 1 : 0));
  keep[0] = 0;
  return label.map((n) => keep[n]);
};

// ink: h * w numbers from 0 to 1 (strokes). Returns 784 whole numbers from 0 to 255, or null if there is no ink.
export const toFrame = (ink, h, w) => {
  const peak = ink.reduce((a, b) => Math.max(a, b), 0);
  if (peak < 0.05) return null;
  const strength = percentile(ink.filter((v) => v >= peak / 2), 0.95);
  const mask = kept(ink, ink.map((v) => (v > EDGE * strength ? 1 : 0)), h, w);
  let top = h, bottom = 0, left = w, right = 0;
  for (let p = 0; p < h * w; p++) {
    if (!mask[p]) continue;
    const r = Math.floor(p / w), c = p % w;
    top = Math.min(top, r), bottom = Math.max(bottom, r + 1), left = Math.min(left, c), right = Math.max(right, c + 1);
  }
  const tall = bottom - top, wide = right - left, side = Math.max(tall, wide);
  // The faint fringe of the strokes is kept, one pixel of the frame wide.
  const reach = Math.max(1, rint(side / BOX));
  const digit = new Float64Array(tall * wide);
  for (let r = top; r < bottom; r++) {
    for (let c = left; c < right; c++) {
      if (!ink[r * w + c]) continue;
      let near = false;
      for (let y = Math.max(0, r - reach); y <= Math.min(h - 1, r + reach) && !near; y++) {
        for (let x = Math.max(0, c - reach); x <= Math.min(w - 1, c + reach); x++) {
          if (mask[y * w + x]) {
            near = true;
            break;
          }
        }
      }
      if (near) digit[(r - top) * wide + c - left] = ink[r * w + c];
    }
  }
  const height = Math.max(1, rint((BOX * tall) / side)), width = Math.max(1, rint((BOX * wide) / side));
  let box = resized(digit, tall, wide, height, width);
  const brightest = box.reduce((a, b) => Math.max(a, b), 0);
  const full = percentile(box.filter((v) => v >= brightest / 2), 0.95);
  if (full < 0.98 || full > 1) box = box.map((v) => v / full);
  box = box.map((v) => Math.min(255, Math.max(0, rint(255 * v))));
  return centred(box, height, width);
};

const centred = (box, height, width) => {
  let sum = 0, rows = 0, columns = 0;
  for (let r = 0; r < height; r++) {
    for (let c = 0; c < width; c++) {
      const v = box[r * width + c];
      sum += v, rows += v * r, columns += v * c;
    }
  }
  const corner = (mass, length) => Math.min(Math.max(rint(CENTRE - mass / sum), 0), FRAME - length);
  const top = corner(rows, height), left = corner(columns, width);
  const frame = new Uint8Array(FRAME * FRAME);
  for (let r = 0; r < height; r++) {
    for (let c = 0; c < width; c++) frame[(top + r) * FRAME + left + c] = box[r * width + c];
  }
  return frame;
};
