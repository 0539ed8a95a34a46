// The network of the derivation, for one sample at a time: forward and backward propagation, E, a step of descent.
// Equation numbers are those of docs/derivation.md. Everything is computed in double precision.
//
// X holds pixels from 0 to 1. Model files take pixels from 0 to 255, so W1 is multiplied by 255 on arrival.

export const PIXEL = 255;

export const sigma = (a) => {
  const e = Math.exp(-Math.abs(a)); // in (0, 1]: never overflows
  return (a >= 0 ? 1 : e) / (1 + e);
};

export class Network {
  // one: Theta(1), (D_I + 1) rows of D_H numbers; two: Theta(2), (D_H + 1) rows of D_O. Row 0 is the bias.
  constructor(one, two, D_I, D_H, D_O) {
    Object.assign(this, { one, two, D_I, D_H, D_O });
  }

  static fromBytes(buffer, { D_I, D_H, D_O }) {
    const numbers = new Float32Array(buffer);
    const size = (D_I + 1) * D_H;
    if (numbers.length !== size + (D_H + 1) * D_O) throw new Error("the model has another number of weights");
    const one = Float64Array.from(numbers.subarray(0, size));
    for (let k = D_H; k < size; k++) one[k] *= PIXEL;
    return new Network(one, Float64Array.from(numbers.subarray(size)), D_I, D_H, D_O);
  }

  copy() {
    return new Network(this.one.slice(), this.two.slice(), this.D_I, this.D_H, this.D_O);
  }

  // A1 = W1^T X + b1, Z = sigma(A1), A2 = W2^T Z + b2, Y = sigma(A2). Pixels that are 0 cost nothing.
  forward(X) {
    const { one, two, D_I, D_H, D_O } = this;
    const A1 = one.slice(0, D_H);
    for (let i = 0; i < D_I; i++) {
      const x = X[i];
      if (x === 0) continue;
      const row = (i + 1) * D_H;
      for (let j = 0; j < D_H; j++) A1[j] += x * one[row + j];
    }
    const Z = A1.map(sigma);
    return { A1, Z, ...this.outputs(Z) };
  }

  outputs(Z) {
    const { two, D_H, D_O } = this;
    const A2 = two.slice(0, D_O);
    for (let j = 0; j < D_H; j++) {
      const row = (j + 1) * D_O;
      for (let k = 0; k < D_O; k++) A2[k] += Z[j] * two[row + k];
    }
    return { A2, Y: A2.map(sigma) };
  }

  // E = -sum_k [L ln Y + (1 - L) ln(1 - Y)], from A2, so that no logarithm of 0 is ever taken.
  error(A2, L) {
    let E = 0;
    for (let k = 0; k < A2.length; k++) {
      E += Math.max(A2[k], 0) - L[k] * A2[k] + Math.log1p(Math.exp(-Math.abs(A2[k])));
    }
    return E;
  }

  // delta3 = Y - L; delta2 = (W2 delta3) Z (1 - Z)
  deltas({ Z, Y }, L) {
    const { two, D_H, D_O } = this;
    const delta3 = Y.map((y, k) => y - L[k]);
    const delta2 = new Float64Array(D_H);
    for (let j = 0; j < D_H; j++) {
      const row = (j + 1) * D_O;
      let sum = 0;
      for (let k = 0; k < D_O; k++) sum += two[row + k] * delta3[k];
      delta2[j] = sum * Z[j] * (1 - Z[j]);
    }
    return { delta3, delta2 };
  }

  // A step of descent, in place: Theta <- Theta - rate dE/dTheta. Equations (6) and (7). The gradients are products
  // of X and delta2, of Z and delta3: these few numbers are all that `move` needs to take a step back.
  step(X, L, rate) {
    const seen = this.forward(X);
    const step = { X, L, Z: seen.Z, E: this.error(seen.A2, L), rate, ...this.deltas(seen, L) };
    this.move(step, rate);
    return step;
  }

  move({ X, Z, delta3, delta2 }, rate) {
    const { one, two, D_I, D_H, D_O } = this;
    for (let k = 0; k < D_O; k++) two[k] -= rate * delta3[k];
    for (let j = 0; j < D_H; j++) {
      const row = (j + 1) * D_O;
      for (let k = 0; k < D_O; k++) two[row + k] -= rate * Z[j] * delta3[k]; // (6)
      one[j] -= rate * delta2[j];
    }
    for (let i = 0; i < D_I; i++) {
      if (X[i] === 0) continue;
      const row = (i + 1) * D_H;
      for (let j = 0; j < D_H; j++) one[row + j] -= rate * X[i] * delta2[j]; // (7)
    }
  }

  // The numeric derivative by one weight: central differences of fourth order.
  numeric(X, L, layer, row, column, h = 1e-3) {
    const weights = layer === 1 ? this.one : this.two;
    const place = row * (layer === 1 ? this.D_H : this.D_O) + column;
    const before = weights[place];
    const E = (offset) => {
      weights[place] = before + offset;
      const value = this.error(this.forward(X).A2, L);
      weights[place] = before;
      return value;
    };
    return (8 * (E(h) - E(-h)) - (E(2 * h) - E(-2 * h))) / (12 * h);
  }

  // The gradient by the inputs of sum_k weights[k] A2[k]: W1 ((W2 weights) Z (1 - Z)).
  inputGradient({ Z }, weights) {
    const { one, two, D_I, D_H, D_O } = this;
    const inner = new Float64Array(D_H);
    for (let j = 0; j < D_H; j++) {
      let sum = 0;
      for (let k = 0; k < D_O; k++) sum += two[(j + 1) * D_O + k] * weights[k];
      inner[j] = sum * Z[j] * (1 - Z[j]);
    }
    const gradient = new Float64Array(D_I);
    for (let i = 0; i < D_I; i++) {
      const row = (i + 1) * D_H;
      let sum = 0;
      for (let j = 0; j < D_H; j++) sum += one[row + j] * inner[j];
      gradient[i] = sum;
    }
    return gradient;
  }

  // W1[:, j]
  unit(j) {
    const { one, D_I, D_H } = this;
    return Float64Array.from({ length: D_I }, (_, i) => one[(i + 1) * D_H + j]);
  }
}

export const largest = (values) => {
  let best = 0;
  for (let k = 1; k < values.length; k++) if (values[k] > values[best]) best = k;
  return best;
};

// How sure: the probability, as the outputs see it, that output k is 1 and no other is.
export const confidence = (Y) => {
  const best = largest(Y);
  return Y.reduce((product, y, k) => product * (k === best ? y : 1 - y), 1);
};
