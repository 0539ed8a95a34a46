"""The outputs of a mini-batch: E, the number of correct answers, and delta3."""

from __future__ import annotations

import math

from numba import njit

from thetanet.engine.cpu.kernels.barrier import OPTIONS
from thetanet.engine.cpu.kernels.instructions import exp_minus


@njit(**OPTIONS)
def outputs(low, high, rows, partial, bias, classes, targets, weights, Y, delta3, measures):
    """Compute delta3 = w (Y - L) from the sums over hidden units, for rows low..high of a mini-batch.

    Add E, the number of correct answers and the weight of the samples to `measures`. ln(1 + e) is summed as
    the logarithm of a product. Loops over all outputs are vectorised; the rest has no branch on data.
    """
    D_O, T = Y.shape[1], partial.shape[0]
    kind = Y.dtype.type
    A2, y = delta3[low:high].reshape(-1), Y[low:high].reshape(-1)
    for b in range(high - low):
        for k in range(D_O):
            A2[b * D_O + k] = bias[k]
    for u in range(T):
        terms = partial[u, low:high].reshape(-1)
        for i in range(len(A2)):
            A2[i] += terms[i]
    for i in range(len(A2)):
        y[i] = exp_minus(abs(A2[i]))
    product = 1.0
    for b in range(low, high):
        row, at = rows[b], (b - low) * D_O
        w = weights[row] if len(weights) else 1.0
        E, wrong = 0.0, 0
        for k in range(at, at + D_O):
            E += max(A2[k], kind(0))
        for k in range(at, at + D_O):
            product *= 1.0 + y[k]
            if product > 1e250:
                E += math.log(product)
                product = 1.0
        if len(weights):
            E += math.log(product)
            product = 1.0
        if len(classes):
            label = classes[row]
            answer = A2[at + label]
            E -= answer
            wrong += answer != answer  # NaN
            for k in range(D_O):  # the first of the largest outputs is the answer
                wrong += (A2[at + k] > answer) | ((A2[at + k] == answer) & (k < label))
        else:
            for k in range(D_O):
                E -= targets[row, k] * A2[at + k]
                wrong += (A2[at + k] > 0) != (targets[row, k] > 0.5)
        measures[0] += w * E
        measures[1] += w * (wrong == 0)
        measures[2] += w
    measures[0] += math.log(product)
    for i in range(len(y)):
        y[i] = (kind(1) if A2[i] >= 0 else y[i]) / (kind(1) + y[i])
        A2[i] = y[i]
    for b in range(low, high):
        row, at = rows[b], (b - low) * D_O
        if len(classes):
            A2[at + classes[row]] -= kind(1)
        else:
            for k in range(D_O):
                A2[at + k] -= targets[row, k]
        if len(weights):
            for k in range(D_O):
                A2[at + k] *= kind(weights[row])
