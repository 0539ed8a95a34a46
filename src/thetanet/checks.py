"""What the mathematics accepts: each check names the argument, the value received and the remedy.

Arrays under tracing (jax.jit, jax.grad) have shapes but no values; for them only shapes are checked.
"""

from __future__ import annotations

import numbers
from typing import Any

import numpy as np

from thetanet.errors import InputError
from thetanet.theta import Array, Theta, namespace


def check_inputs(theta: Theta, X: Array) -> Array:
    """Return X as an array of Theta's library and type, of shape (D_I, M) or (D_I,)."""
    X = _as_array_like(theta, X, "X")
    if X.ndim not in (1, 2):
        raise InputError(
            f"X has shape {tuple(X.shape)}: columns are samples, so it must be (D_I, M) or (D_I,); "
            "for images of shape (M, height, width) use X.reshape(M, -1).T"
        )
    if X.shape[0] != theta.D_I:
        hint = "; rows look like samples, use X.T" if X.ndim == 2 and X.shape[1] == theta.D_I else ""
        raise InputError(
            f"X has shape {tuple(X.shape)}, but Theta takes D_I={theta.D_I} inputs as rows{hint}"
        )
    if X.ndim == 2 and X.shape[1] == 0:
        raise InputError(f"X has shape {tuple(X.shape)}: there are no samples; give at least one column")
    if not _holds(namespace(X).all(namespace(X).isfinite(X))):
        raise InputError("X contains NaN or infinity: remove or impute those entries first")
    return X


def check_targets(theta: Theta, L: Array, X: Array) -> Array:
    """Return L as an array of Theta's library and type, of shape (D_O,) + X.shape[1:]."""
    L = _as_array_like(theta, L, "L")
    expected = (theta.D_O, *X.shape[1:])
    if tuple(L.shape) != expected:
        hint = "; rows look like samples, use L.T" if tuple(L.shape) == expected[::-1] else ""
        raise InputError(
            f"L has shape {tuple(L.shape)}, but D_O={theta.D_O} outputs and X of shape {tuple(X.shape)} "
            f"need {expected}{hint}"
        )
    if not _holds(namespace(L).all((L >= 0) & (L <= 1))):  # NaN fails both
        raise InputError(
            f"L contains {_first_outside(L)}: targets must lie in [0, 1]; encode classes as one column of "
            "zeros and a one for each sample"
        )
    return L


def check_weights(theta: Theta, sample_weight: Array, M: int) -> Array:
    """Return the sample weights as a vector of M finite numbers, none negative."""
    w = _as_array_like(theta, sample_weight, "sample_weight")
    if tuple(w.shape) != (M,):
        raise InputError(f"sample_weight has shape {tuple(w.shape)}: it must be ({M},), one number a sample")
    if not _holds(namespace(w).all((w >= 0) & namespace(w).isfinite(w))):
        raise InputError("sample_weight contains a negative number, NaN or infinity: weights must be >= 0")
    return w


def check_number(
    name: str, value: Any, *, least: float, most: float = np.inf, whole: bool = False, above: bool = False
) -> None:
    """Check one numeric argument; `above` excludes `least` itself."""
    kind = numbers.Integral if whole else numbers.Real
    right = isinstance(value, kind) and not isinstance(value, (bool, np.bool_))
    if not right or not (value > least if above else value >= least) or not value <= most:
        what = "a whole number" if whole else "a number"
        upper = "" if most == np.inf else f" and at most {most:g}"
        lower = "above" if above else "at least"
        raise InputError(f"{name}={value!r}: must be {what} {lower} {least:g}{upper}")


def _as_array_like(theta: Theta, value: Array, name: str) -> Array:
    """Convert to the library and type of Theta; refuse what is not made of real numbers."""
    if not hasattr(value, "dtype"):
        value = np.asarray(value)
    if isinstance(value, np.ndarray) and value.dtype.kind not in "fiub":
        raise InputError(
            f"{name} has dtype {value.dtype}: it must hold real numbers; convert it, "
            f"e.g. {name}.astype(float)"
        )
    return namespace(theta.flat).asarray(value, dtype=theta.dtype)


def _holds(condition: Array) -> bool:
    try:
        return bool(condition)
    except TypeError:  # a traced array has no value to check
        return True


def _first_outside(L: Array) -> float:
    outside = np.asarray(L)
    return float(outside[~((outside >= 0) & (outside <= 1))][0])
