"""Theta: the two matrices of the network as views of one flat vector.

Row 0 of each matrix is the bias. Descent methods see only `flat`; the mathematics sees `one`
and `two`. For NumPy both are views of the same memory, so a change of one is a change of the other.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

import numpy as np

from thetanet.errors import InputError

Array = Any  # an array of any library that follows the array API standard


def namespace(array: Array) -> Any:
    """Return the module whose functions work on `array`: NumPy, JAX, PyTorch, array-api-strict, ..."""
    if hasattr(array, "__array_namespace__"):
        return array.__array_namespace__()
    # PyTorch tensors do not name their namespace; the few functions we use have the standard's names there.
    return sys.modules[type(array).__module__.partition(".")[0]]


class Theta:
    """The parameters Theta(1) and Theta(2) of a network with one hidden layer.

    Parameters
    ----------
    one : array of shape (D_I + 1, D_H)
        Theta(1). Row 0 is the bias of the hidden units.
    two : array of shape (D_H + 1, D_O)
        Theta(2). Row 0 is the bias of the outputs.

    Attributes
    ----------
    flat : array of shape ((D_I + 1) * D_H + (D_H + 1) * D_O,)
        Both matrices, row by row, one behind the other.
    one, two : arrays
        The matrices, as views of `flat` (where the array library has views).
    W1, b1, W2, b2 : arrays of shapes (D_I, D_H), (D_H,), (D_H, D_O), (D_O,)
        Weights and biases: `one[1:]`, `one[0]`, `two[1:]`, `two[0]`.
    D_I, D_H, D_O : int
        Numbers of inputs, hidden units and outputs.

    Raises
    ------
    InputError
        If the matrices are not two-dimensional, not real numbers, or do not fit each other.

    Examples
    --------
    >>> theta = Theta.random(784, 300, 10, seed=0)
    >>> theta
    Theta(D_I=784, D_H=300, D_O=10, dtype=float64)
    >>> theta.one.shape, theta.two.shape
    ((785, 300), (301, 10))
    """

    __slots__ = ("D_H", "D_I", "D_O", "flat", "one", "two")
    __hash__ = None  # type: ignore[assignment]  # mutable, like the arrays it holds

    def __init__(self, one: Array, two: Array) -> None:
        one, two = _matrix(one, "one"), _matrix(two, "two")
        if two.shape[0] != one.shape[1] + 1:
            raise InputError(
                f"two has {two.shape[0]} rows, but one has {one.shape[1]} columns (hidden units): "
                f"two needs {one.shape[1] + 1} rows, the bias and one for each hidden unit"
            )
        xp = namespace(one)
        parts = [xp.reshape(one, (-1,)), xp.reshape(two, (-1,))]
        self._set(xp.concat(parts), one.shape[0] - 1, one.shape[1], two.shape[1])

    def _set(self, flat: Array, D_I: int, D_H: int, D_O: int) -> None:
        cut = (D_I + 1) * D_H
        xp = namespace(flat)
        self.flat, self.D_I, self.D_H, self.D_O = flat, D_I, D_H, D_O
        self.one = xp.reshape(flat[:cut], (D_I + 1, D_H))
        self.two = xp.reshape(flat[cut:], (D_H + 1, D_O))

    @classmethod
    def from_flat(cls, flat: Array, D_I: int, D_H: int, D_O: int) -> Theta:
        """Wrap a flat vector of (D_I + 1) * D_H + (D_H + 1) * D_O numbers; NumPy arrays are not copied.

        Raises
        ------
        InputError
            If a dimension is below 1 or the vector has another length.
        """
        for name, value in (("D_I", D_I), ("D_H", D_H), ("D_O", D_O)):
            if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < 1:
                raise InputError(f"{name}={value!r}: must be a whole number, at least 1")
        size = (D_I + 1) * D_H + (D_H + 1) * D_O
        if flat.ndim != 1 or flat.shape[0] != size:
            raise InputError(
                f"flat has shape {tuple(flat.shape)}; a {D_I}-{D_H}-{D_O} network needs one vector of {size}"
            )
        theta = cls.__new__(cls)
        theta._set(np.ascontiguousarray(flat) if isinstance(flat, np.ndarray) else flat, D_I, D_H, D_O)
        return theta

    @classmethod
    def zeros(cls, D_I: int, D_H: int, D_O: int, dtype: Any = np.float64) -> Theta:
        """Return a Theta of NumPy zeros: the usual place for a gradient."""
        size = (D_I + 1) * D_H + (D_H + 1) * D_O
        return cls.from_flat(np.zeros(max(size, 0), dtype), D_I, D_H, D_O)

    @classmethod
    def random(cls, D_I: int, D_H: int, D_O: int, seed: int = 0, dtype: Any = np.float64) -> Theta:
        """Draw weights from N(0, 1 / fan-in), biases zero (LeCun et al. 1998, "Efficient BackProp").

        Parameters
        ----------
        D_I, D_H, D_O : int
            Numbers of inputs, hidden units and outputs.
        seed : int
            The same seed gives the same numbers.
        dtype : NumPy dtype
            float64 or float32.
        """
        theta = cls.zeros(D_I, D_H, D_O, dtype)
        rng = np.random.default_rng(seed)
        theta.W1[...] = rng.standard_normal((D_I, D_H)) / np.sqrt(D_I)
        theta.W2[...] = rng.standard_normal((D_H, D_O)) / np.sqrt(D_H)
        return theta

    @classmethod
    def merge(cls, thetas: Sequence[Theta]) -> Theta:
        """Make one network of a committee: its A2 is the mean of the members' A2, exactly.

        The hidden units stand side by side, the second weights are divided by the number of
        members, the output biases are averaged.

        Raises
        ------
        InputError
            If the list is empty or the members differ in inputs or outputs.
        """
        thetas = list(thetas)
        if not thetas:
            raise InputError("thetas is empty: merge needs at least one Theta")
        shapes = {(t.D_I, t.D_O) for t in thetas}
        if len(shapes) > 1:
            raise InputError(f"thetas have different (D_I, D_O) {sorted(shapes)}: members must agree in both")
        K, xp = len(thetas), namespace(thetas[0].flat)
        bias = sum((t.two[:1, :] for t in thetas[1:]), start=thetas[0].two[:1, :]) / K
        return cls(
            xp.concat([t.one for t in thetas], axis=1),
            xp.concat([bias, *(t.W2 / K for t in thetas)], axis=0),
        )

    @property
    def W1(self) -> Array:  # noqa: D102
        return self.one[1:, :]

    @property
    def b1(self) -> Array:  # noqa: D102
        return self.one[0, :]

    @property
    def W2(self) -> Array:  # noqa: D102
        return self.two[1:, :]

    @property
    def b2(self) -> Array:  # noqa: D102
        return self.two[0, :]

    @property
    def shape(self) -> tuple[int, int, int]:
        """(D_I, D_H, D_O)."""
        return self.D_I, self.D_H, self.D_O

    @property
    def dtype(self) -> Any:
        """Data type of `flat`."""
        return self.flat.dtype

    def like(self, flat: Array) -> Theta:
        """Return a Theta of the same shape around another flat vector."""
        return Theta.from_flat(flat, *self.shape)

    def copy(self) -> Theta:
        """Return a Theta of its own memory."""
        return self.like(namespace(self.flat).asarray(self.flat, copy=True))

    def astype(self, dtype: Any) -> Theta:
        """Return a Theta of another floating-point type (a copy unless it has that type already)."""
        return self.like(namespace(self.flat).asarray(self.flat, dtype=dtype))

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Theta):
            return NotImplemented
        if self.shape != other.shape or self.dtype != other.dtype:
            return False
        return bool(namespace(self.flat).all(self.flat == other.flat))

    def __repr__(self) -> str:
        dtype = str(self.dtype).rpartition(".")[2]
        return f"Theta(D_I={self.D_I}, D_H={self.D_H}, D_O={self.D_O}, dtype={dtype})"

    def __reduce__(self) -> tuple[Any, ...]:
        # Pickle and copy carry the flat vector only, so that the matrices are views of it again.
        return Theta.from_flat, (self.flat, *self.shape)


def _matrix(value: Array, name: str) -> Array:
    """Check one of the two matrices; lists and whole numbers become NumPy float64."""
    if not hasattr(value, "ndim") or not hasattr(value, "dtype"):
        value = np.asarray(value)
    if isinstance(value, np.ndarray) and value.dtype.kind in "iub":
        value = value.astype(np.float64)
    if isinstance(value, np.ndarray) and value.dtype.kind != "f":
        raise InputError(f"{name} has dtype {value.dtype}: Theta holds real numbers (float32 or float64)")
    if value.ndim != 2:
        raise InputError(f"{name} has shape {tuple(value.shape)}: it must be a matrix (two dimensions)")
    if value.shape[0] < 2 or value.shape[1] < 1:
        raise InputError(
            f"{name} has shape {tuple(value.shape)}: it needs row 0 (the bias), at least one row of weights "
            "and at least one column"
        )
    return value
