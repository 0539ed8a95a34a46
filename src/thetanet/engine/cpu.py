"""The processor engine: NumPy and its BLAS over tiles of samples, in buffers that are made once.

Rows are samples here: a tile is B consecutive rows of X, so that memory does not depend on M. The
equations are those of network.py, transposed; a test proves both equal.

BLAS runs on one thread: its own threads wait in spinning barriers, and slow down 25-fold as soon as another
process wants one of the cores (see DECISIONS.md).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import ThreadpoolController

from thetanet.checks import check_number
from thetanet.engine import Chunk, Measure, Rule
from thetanet.errors import InputError
from thetanet.theta import Theta

_blas = ThreadpoolController().select(user_api="blas")
_BLOCK = 16_384  # numbers that a rule updates at a time: its temporaries stay in the first-level caches


class CPUEngine:
    """Training and prediction on this machine's processor.

    Parameters
    ----------
    dtype : "float32" or "float64"
        Floating-point type of training.
    tile : int
        Samples in a tile of a whole pass; the memory of a pass is about 4 * tile * (D_I + 2 D_H) bytes.
    """

    def __init__(self, dtype: Any = "float32", tile: int = 1024) -> None:
        check_number("tile", tile, least=1, whole=True)
        self.dtype = np.dtype(dtype)
        if self.dtype not in (np.float32, np.float64):
            raise InputError(f"dtype={dtype!r}: the engine computes in 'float32' or 'float64'")
        self.tile = int(tile)

    def __repr__(self) -> str:
        return f"CPUEngine(dtype={self.dtype.name!r}, tile={self.tile})"

    def error_and_gradient(self, theta: Theta, chunk: Chunk) -> tuple[Measure, Theta]:
        """Return the sums of E and dE/dTheta over all samples of the chunk."""
        tile = _Tile(theta.shape, min(self.tile, chunk.X.shape[0]), theta.dtype)
        part, total = Theta.zeros(*theta.shape, theta.dtype), Theta.zeros(*theta.shape, theta.dtype)
        measure = Measure(0.0, 0.0, 0.0)
        with _blas.limit(limits=1):
            for rows in self._tiles(chunk.X):
                tile.load(chunk, rows)
                tile.forward(theta)
                measure = measure.plus(tile.measure())
                tile.backward(theta, part)
                total.flat += part.flat
        return measure, total

    def measure(self, theta: Theta, chunk: Chunk) -> Measure:
        """Return E and the number of right answers, without the gradient."""
        tile = _Tile(theta.shape, min(self.tile, chunk.X.shape[0]), theta.dtype)
        measure = Measure(0.0, 0.0, 0.0)
        with _blas.limit(limits=1):
            for rows in self._tiles(chunk.X):
                tile.load(chunk, rows)
                tile.forward(theta)
                measure = measure.plus(tile.measure())
        return measure

    def stepper(
        self, theta: Theta, rule: Rule, batch: int, decay: float = 0.0, state: NDArray[Any] | None = None
    ) -> _CPUStepper:
        """Begin mini-batch descent at `theta`."""
        return _CPUStepper(theta.astype(self.dtype).copy(), rule, batch, decay, state)

    def propagate(self, theta: Theta, X: Any, to: str = "Y") -> NDArray[Any]:
        """Return Z, A2 or Y of the rows of X."""
        tile = _Tile(theta.shape, min(self.tile, X.shape[0]), theta.dtype)
        out = np.empty((X.shape[0], theta.D_H if to == "Z" else theta.D_O), theta.dtype)
        with _blas.limit(limits=1):
            for rows in self._tiles(X):
                tile.load_inputs(X, rows)
                tile.forward(theta)
                out[rows] = {"Z": tile.Z, "A2": tile.A2, "Y": tile.Y}[to]
        return out

    def _tiles(self, X: Any) -> Iterator[slice]:
        M = X.shape[0]
        for low in range(0, M, self.tile):
            yield slice(low, min(low + self.tile, M))


class _Tile:
    """The buffers of one tile of samples; the arrays named X, Z, A2, Y, L are views of its first B rows."""

    def __init__(self, shape: tuple[int, int, int], size: int, dtype: Any) -> None:
        D_I, D_H, D_O = shape
        self._raw: NDArray[Any] | None = None
        self._X = np.empty((size, D_I), dtype)
        self.X: Any = self._X
        self._hidden = np.empty((2, size, D_H), dtype)
        self._outputs = np.empty((3, size, D_O), dtype)
        self.weight: NDArray[Any] | None = None

    def load(self, chunk: Chunk, rows: Any) -> None:
        """Read inputs, targets and weights of these rows (a slice or an array of indices)."""
        self.load_inputs(chunk.X, rows, chunk.scaling)
        L = chunk.L[rows]
        self._one_of_many = L.ndim == 1
        if self._one_of_many:
            self.L[...] = 0
            self.L[np.arange(len(L)), L] = 1
        else:
            self.L[...] = L
        self.weight = None if chunk.weight is None else chunk.weight[rows]

    def load_inputs(self, X: Any, rows: Any, scaling: Any = None) -> None:
        """Read and scale the inputs of these rows."""
        if isinstance(X, np.ndarray):
            raw = X[rows] if isinstance(rows, slice) else self._gather(X, rows)
            B = raw.shape[0]
            self.X = self._X[:B]
            if scaling is None:
                np.copyto(self.X, raw, casting="unsafe")
            elif scaling.shift is None:
                np.multiply(raw, scaling.factor, out=self.X, casting="unsafe")
            else:
                # In float64: the difference of two close numbers must not be taken in float32.
                np.multiply(raw - scaling.shift, scaling.factor, out=self.X, casting="unsafe")
        else:
            some = X[rows].astype(self._X.dtype)
            if scaling is not None:
                some.data *= scaling.factor[some.indices].astype(some.dtype)
            self.X, B = some, some.shape[0]
        self.Z, self._work = self._hidden[:, :B]
        self.A2, self.Y, self.L = self._outputs[:, :B]

    def _gather(self, X: NDArray[Any], rows: NDArray[Any]) -> NDArray[Any]:
        if self._raw is None or self._raw.dtype != X.dtype:
            self._raw = np.empty(self._X.shape, X.dtype)
        return np.take(X, rows, axis=0, out=self._raw[: len(rows)], mode="clip")

    def forward(self, theta: Theta) -> None:
        """Z = sigma(X W1 + b1), A2 = Z W2 + b2, Y = sigma(A2)."""
        if isinstance(self.X, np.ndarray):
            np.matmul(self.X, theta.W1, out=self.Z)
        else:
            self.Z[...] = self.X @ theta.W1
        self.Z += theta.b1
        _sigma(self.Z, out=self.Z)
        np.matmul(self.Z, theta.W2, out=self.A2)
        self.A2 += theta.b2
        _sigma(self.A2, out=self.Y)

    def measure(self) -> Measure:
        """Return the sum of E and the number of right answers."""
        summands = np.maximum(self.A2, 0) - self.L * self.A2 + np.log1p(np.exp(-np.abs(self.A2)))
        if self._one_of_many:
            right = self.A2.argmax(axis=1) == self.L.argmax(axis=1)
        else:  # one output, or several labels: every output on its target's side of 1/2
            right = ((self.A2 > 0) == (self.L > 0.5)).all(axis=1)
        if self.weight is None:
            return Measure(float(summands.sum(dtype=np.float64)), float(right.sum()), float(len(right)))
        w = self.weight
        return Measure(float(w @ summands.sum(axis=1, dtype=np.float64)), float(w @ right), float(w.sum()))

    def backward(self, theta: Theta, gradient: Theta) -> None:
        """Write dE/dTheta, equations (6) and (7), into `gradient`; overwrites Y with delta3."""
        delta3 = np.subtract(self.Y, self.L, out=self.Y)
        if self.weight is not None:
            delta3 *= self.weight[:, None]
        np.matmul(self.Z.T, delta3, out=gradient.W2)
        delta3.sum(axis=0, out=gradient.b2)
        delta2 = np.matmul(delta3, theta.W2.T, out=self._work)
        delta2 *= self.Z
        np.subtract(1, self.Z, out=self.Z)
        delta2 *= self.Z
        if isinstance(self.X, np.ndarray):
            np.matmul(self.X.T, delta2, out=gradient.W1)
        else:
            gradient.W1[...] = self.X.T @ delta2
        delta2.sum(axis=0, out=gradient.b1)


class _CPUStepper:
    def __init__(
        self, theta: Theta, rule: Rule, batch: int, decay: float, state: NDArray[Any] | None
    ) -> None:
        self._theta, self._rule, self._batch, self._decay = theta, rule, batch, decay
        self._gradient = Theta.zeros(*theta.shape, theta.dtype)
        self._state = np.zeros((rule.slots, theta.flat.size), theta.dtype)
        if state is not None:
            self._state[...] = state
        self._tile = _Tile(theta.shape, batch, theta.dtype)

    def run(self, chunk: Chunk, order: NDArray[Any], coefficients: NDArray[Any]) -> Measure:
        """Take one step for each row of `coefficients`, over consecutive batches of `order`."""
        with _blas.limit(limits=1):
            return self._run(chunk, order, coefficients)

    def _run(self, chunk: Chunk, order: NDArray[Any], coefficients: NDArray[Any]) -> Measure:
        theta, gradient, tile = self._theta, self._gradient, self._tile
        total = Measure(0.0, 0.0, 0.0)
        for step, c in enumerate(coefficients.tolist()):
            tile.load(chunk, order[step * self._batch : (step + 1) * self._batch])
            tile.forward(theta)
            measure = tile.measure()
            total = total.plus(measure)
            if measure.weight == 0:
                continue  # all weights of the batch are zero: there is nothing to learn from it
            tile.backward(theta, gradient)
            gradient.flat *= 1 / measure.weight
            if self._decay:
                gradient.W1[...] += self._decay * theta.W1
                gradient.W2[...] += self._decay * theta.W2
            self._update(c)
        return total

    def _update(self, c: list[float]) -> None:
        for low in range(0, self._theta.flat.size, _BLOCK):
            block = slice(low, low + _BLOCK)
            theta, gradient, state = (
                self._theta.flat[block],
                self._gradient.flat[block],
                self._state[:, block],
            )
            theta[...], new = self._rule.update(theta, gradient, tuple(state), c)
            for slot, value in zip(state, new, strict=True):
                slot[...] = value

    def theta(self) -> Theta:
        return self._theta.copy()

    def state(self) -> NDArray[Any]:
        return self._state.copy()


def _sigma(a: NDArray[Any], out: NDArray[Any]) -> None:
    """1 / (1 + exp(-a)) in place; exp may overflow to infinity, whose inverse is the right zero."""
    with np.errstate(over="ignore"):
        np.negative(a, out=out)
        np.exp(out, out=out)
        out += 1
        np.reciprocal(out, out=out)
