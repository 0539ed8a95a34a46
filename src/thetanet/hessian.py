"""The Hessian matrix of E times a direction, exactly, in about two passes (Pearlmutter 1994).

Like network.py: pure functions over any array library, columns are samples, the oracle for the engines.

R{f} is the derivative of f(Theta + r V) with respect to r at r = 0. Applied to every equation of forward and
backward propagation, it turns the gradient into R{dE/dTheta} = H V; the matrix H is never built.
"""

from __future__ import annotations

from thetanet.checks import check_inputs, check_targets, check_weights
from thetanet.errors import InputError
from thetanet.network import forward
from thetanet.theta import Array, Theta, namespace


def hessian_product(
    theta: Theta, direction: Theta, X: Array, L: Array, sample_weight: Array | None = None
) -> Theta:
    """Return H V, the product of the Hessian matrix of E(Theta) and a direction V.

    Parameters
    ----------
    theta : Theta
        The parameters; the result has their type.
    direction : Theta
        V, of the same shape.
    X, L, sample_weight
        As for `error_and_gradient`: columns are samples.

    Returns
    -------
    Theta
        d/dr of dE/dTheta at Theta + r V, for r = 0; summed (not averaged) over samples.

    Raises
    ------
    InputError
        If V has another shape than Theta, or the samples are not those of a network like this.
    """
    if direction.shape != theta.shape:
        raise InputError(
            f"direction has (D_I, D_H, D_O) = {direction.shape}: it must be those of theta, {theta.shape}"
        )
    X = check_inputs(theta, X)
    L = check_targets(theta, L, X)
    X, L = (X[:, None], L[:, None]) if X.ndim == 1 else (X, L)
    w = None if sample_weight is None else check_weights(theta, sample_weight, X.shape[1])
    V, xp = direction.astype(theta.dtype), namespace(theta.flat)

    _, Z, _, Y = forward(theta, X)
    slope = Z * (1 - Z)  # sigma'(A1)
    R_A1 = V.W1.T @ X + V.b1[:, None]
    R_Z = slope * R_A1
    R_A2 = V.W2.T @ Z + V.b2[:, None] + theta.W2.T @ R_Z
    R_Y = Y * (1 - Y) * R_A2

    delta3, R_delta3 = Y - L, R_Y
    if w is not None:
        delta3, R_delta3 = delta3 * w, R_delta3 * w
    # delta2 = (W2 delta3) sigma'(A1), and sigma'' = sigma' (1 - 2 sigma).
    R_delta2 = (V.W2 @ delta3 + theta.W2 @ R_delta3) * slope + (theta.W2 @ delta3) * (1 - 2 * Z) * R_Z

    R_b1, R_W1 = xp.sum(R_delta2, axis=1), X @ R_delta2.T  # R of (7)
    R_b2, R_W2 = xp.sum(R_delta3, axis=1), R_Z @ delta3.T + Z @ R_delta3.T  # R of (6)
    return Theta(
        xp.concat([R_b1[None, :], R_W1], axis=0),
        xp.concat([R_b2[None, :], R_W2], axis=0),
    )
