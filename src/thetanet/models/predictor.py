"""Prediction of single samples in microseconds, without checks and without temporary arrays."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from thetanet.theta import Theta


class Predictor:
    """The outputs of a network for single samples, as fast as NumPy can.

    The checks of `ThetaNetClassifier.predict_proba` (types, names, NaN, shapes) take longer than the network
    for one sample. They are left out here: x must be valid.

    Parameters
    ----------
    theta : Theta
        The network, for example `net.theta_`. It is copied.

    Examples
    --------
    >>> from thetanet import Predictor, Theta
    >>> predict = Predictor(Theta.random(784, 100, 10))
    >>> predict(np.zeros(784)).shape
    (10,)
    """

    def __init__(self, theta: Theta) -> None:
        # sigma(a) = (1 + tanh(a / 2)) / 2: tanh needs no care in the tails. The halves are folded into Theta.
        dtype = theta.dtype
        self._one = np.ascontiguousarray(theta.W1.T) * dtype.type(0.5)
        self._b1 = theta.b1 * dtype.type(0.5)
        self._two = np.ascontiguousarray(theta.W2.T) * dtype.type(0.25)
        self._b2 = theta.b2 * dtype.type(0.5) + theta.W2.sum(axis=0) * dtype.type(0.25)
        self._Z = np.empty(theta.D_H, dtype)
        self._A2 = np.empty(theta.D_O, dtype)
        self._dtype = dtype

    def __call__(self, x: NDArray[Any]) -> NDArray[Any]:
        """Return Y of shape (D_O,) for one sample x of shape (D_I,).

        The result is a new array. One Predictor must not be called by two threads at once.
        """
        if x.dtype is not self._dtype:
            x = x.astype(self._dtype)
        Z, A2 = self._Z, self._A2
        np.dot(self._one, x, Z)
        np.add(Z, self._b1, Z)
        np.tanh(Z, Z)
        np.dot(self._two, Z, A2)
        np.add(A2, self._b2, A2)
        np.tanh(A2, A2)
        Y = A2 * 0.5
        Y += 0.5
        return Y
