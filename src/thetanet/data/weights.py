"""Sample weights: what users may give, as an array."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from thetanet.errors import InputError


def as_weights(weight: Any, M: int, name: str = "sample_weight") -> NDArray[np.float64] | None:
    """Return sample weights as M finite numbers, none negative and not all zero; None stays None.

    Raises
    ------
    InputError
        If they are not.
    """
    if weight is None:
        return None
    w = np.asarray(weight, dtype=np.float64)
    if w.ndim == 0:
        w = np.full(M, float(w))
    if w.shape != (M,):
        raise InputError(f"{name} has shape {w.shape}: must be ({M},), one number a sample")
    if not np.isfinite(w).all() or (w < 0).any() or not w.any():
        raise InputError(f"{name}: must hold finite numbers >= 0, not all of them zero")
    return w
