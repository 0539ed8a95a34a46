"""The network of the derivation: forward propagation, the error, and its gradient by backward propagation.

Pure functions over any array library that follows the array API standard. Columns are samples.
Equation numbers are those of the derivation (docs/derivation.md restates it, with its errata).
This file is the oracle for every engine: it says what is right, engines say how to be fast.

Symbols and shapes::

    X (D_I, M)  inputs              A1, Z (D_H, M)  hidden units before and after sigma
    L (D_O, M)  targets in [0, 1]   A2, Y (D_O, M)  outputs before and after sigma
    Theta(1) (D_I + 1, D_H) = b1 over W1            Theta(2) (D_H + 1, D_O) = b2 over W2

Row 0 of Theta belongs to X_0m = Z_0m = 1; that row of ones is never built.
"""

from __future__ import annotations

from typing import NamedTuple

from thetanet.checks import check_inputs, check_targets, check_weights
from thetanet.theta import Array, Theta, namespace


class Activations(NamedTuple):
    """What forward propagation computes: A1, Z of shape (D_H, M) and A2, Y of shape (D_O, M)."""

    A1: Array
    Z: Array
    A2: Array
    Y: Array


def sigma(a: Array) -> Array:
    """Return 1 / (1 + exp(-a)), accurate in both tails, without overflow for any finite a.

    Only exp(-|a|) is taken, which lies in (0, 1]: for a < 0, sigma(a) = exp(a) / (1 + exp(a)).
    """
    xp = namespace(a)
    e = xp.exp(-xp.abs(a))
    return xp.where(a >= 0, xp.ones_like(e), e) / (1 + e)


def cross_entropy(A2: Array, L: Array) -> Array:
    """Return the summands of E, element by element, from the outputs before sigma.

    -[L ln Y + (1 - L) ln(1 - Y)] = max(A2, 0) - L A2 + ln(1 + exp(-|A2|)): no logarithm of zero, no clipping.
    """
    xp = namespace(A2)
    return xp.where(A2 > 0, A2, xp.zeros_like(A2)) - L * A2 + xp.log1p(xp.exp(-xp.abs(A2)))


def forward(theta: Theta, X: Array) -> Activations:
    """Propagate the inputs forward: Y = sigma(Theta(2)^T (1, Z)), Z = sigma(Theta(1)^T (1, X)).

    Parameters
    ----------
    theta : Theta
        Its floating-point type is the type of the result.
    X : array of shape (D_I, M), or (D_I,) for one sample (the result is vectors then)
        Columns are samples. Whole numbers (pixels) are converted as they are, not scaled.

    Raises
    ------
    InputError
        If X has another number of inputs, no samples, NaN or infinity.
    """
    X = check_inputs(theta, X)
    if X.ndim == 1:
        return Activations(*(a[:, 0] for a in _propagate(theta, X[:, None])))
    return _propagate(theta, X)


def error(theta: Theta, X: Array, L: Array, sample_weight: Array | None = None) -> float:
    """Return E(Theta) = -sum_m w_m sum_k [L_km ln Y_km + (1 - L_km) ln(1 - Y_km)], a sum over samples.

    Arguments and errors raised are those of `error_and_gradient`.
    """
    X, L, w = _check_samples(theta, X, L, sample_weight)
    return _total(cross_entropy(_propagate(theta, X).A2, L), w)


def error_and_gradient(
    theta: Theta, X: Array, L: Array, sample_weight: Array | None = None
) -> tuple[float, Theta]:
    """Return E(Theta) and dE/dTheta by backward propagation, equations (6) and (7).

    Parameters
    ----------
    theta : Theta
        The parameters; the gradient has their type.
    X : array of shape (D_I, M) or (D_I,)
        Inputs, columns are samples.
    L : array of shape (D_O, M) or (D_O,)
        Targets, each in [0, 1]: one-hot, several ones, or fractions (soft labels).
    sample_weight : array of shape (M,), optional
        w_m >= 0, multiplies the summand of sample m. All ones if left out.

    Returns
    -------
    (float, Theta)
        E, summed (not averaged) over samples and outputs, and its derivatives in the shape of Theta.

    Raises
    ------
    InputError
        If shapes do not fit, X or w is not finite, or an L is outside [0, 1].
    """
    X, L, w = _check_samples(theta, X, L, sample_weight)
    xp = namespace(theta.flat)
    _, Z, A2, Y = _propagate(theta, X)

    delta3 = Y - L  # (D_O, M), the abbreviation before (6)
    if w is not None:
        delta3 = delta3 * w
    # (7): sigma'(A1) = Z (1 - Z); row 0 of Theta(2) takes no part, nothing flows back into a bias.
    delta2 = (theta.W2 @ delta3) * Z * (1 - Z)  # (D_H, M)

    gradient = Theta(
        _bias_over_weights(xp.sum(delta2, axis=1), X @ delta2.T),  # (7): rows i = 0 and i = 1..D_I
        _bias_over_weights(xp.sum(delta3, axis=1), Z @ delta3.T),  # (6): rows j = 0 and j = 1..D_H
    )
    return _total(cross_entropy(A2, L), w), gradient


def _propagate(theta: Theta, X: Array) -> Activations:
    A1 = theta.W1.T @ X + theta.b1[:, None]
    Z = sigma(A1)
    A2 = theta.W2.T @ Z + theta.b2[:, None]
    return Activations(A1, Z, A2, sigma(A2))


def _bias_over_weights(bias: Array, weights: Array) -> Array:
    return namespace(bias).concat([bias[None, :], weights], axis=0)


def _total(summands: Array, w: Array | None) -> float:
    # In the library's default precision at least: float32 summands must not overflow in the sum.
    xp = namespace(summands)
    if w is not None:
        summands = summands * w
    return float(xp.sum(summands, dtype=xp.result_type(summands, xp.asarray(1.0))))


def _check_samples(
    theta: Theta, X: Array, L: Array, sample_weight: Array | None
) -> tuple[Array, Array, Array | None]:
    X = check_inputs(theta, X)
    L = check_targets(theta, L, X)
    X, L = (X[:, None], L[:, None]) if X.ndim == 1 else (X, L)
    return X, L, None if sample_weight is None else check_weights(theta, sample_weight, X.shape[1])
