"""Samples that a training sees changed: deformed anew in each epoch, labelled by a teacher."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from thetanet.data.labels import Labels
from thetanet.data.samples import Samples, TrainingSamples
from thetanet.data.source import Rows
from thetanet.errors import InputError
from thetanet.images.deform import Deform

_CHUNK = 15_000  # images that are deformed at once: 12 MB of MNIST's

Targets = Callable[[Any], NDArray[Any]]  # of inputs X (m, D_I): targets (m, D_O)


class DeformedSamples(TrainingSamples):
    """Samples that mini-batches see deformed, anew in each epoch; whole passes see them as they are.

    Parameters
    ----------
    base : TrainingSamples
        The images.
    deform : Deform
        The deformations; their strength falls from 1 to `deform.anneal` in the course of the training.
    targets : callable, optional
        Returns the targets (m, D_O) of m deformed images, instead of those of the images.
    """

    def __init__(self, base: TrainingSamples, deform: Deform, targets: Targets | None = None) -> None:
        if not isinstance(base.head.X, np.ndarray):
            raise InputError("deform: X is sparse, but images are dense; give X.toarray(), or deform=None")
        deform.shape_of(base.head.X)
        self.base, self.deform, self.targets = base, deform, targets
        self.D_O, self.scaling = base.D_O, base.scaling

    @property
    def head(self) -> Samples:
        """Some of the images, as they are."""
        return self.base.head

    @property
    def M(self) -> int:
        """Number of samples."""
        return self.base.M

    @property
    def total_weight(self) -> float:
        """Sum of the sample weights."""
        return self.base.total_weight

    def target_mean(self) -> NDArray[np.float64]:
        """Return the weighted mean of each target: shape (D_O,)."""
        return self.base.target_mean()

    def chunks(
        self, rng: np.random.Generator | None = None, training_progress: float = 0.0, multiple: int = 1
    ) -> Iterator[Samples]:
        """Yield deformed samples in shuffled pieces; without `rng` all samples as they are."""
        if rng is None:
            yield from self.base.chunks()
            return
        strength = 1 - (1 - self.deform.anneal) * training_progress
        size = max(1, _CHUNK // multiple) * multiple
        for chunk in self.base.chunks(rng, training_progress, multiple):
            order, seed = rng.permutation(chunk.M), int(rng.integers(2**62))
            for low in range(0, chunk.M, size):
                piece = chunk.take(order[low : low + size])
                X = self.deform(piece.X, seed=[seed, low], strength=strength)
                L = piece.L if self.targets is None else self.targets(X)
                yield Samples(X, L, self.D_O, self.scaling, piece.weight)

    def digest(self) -> str:
        """Return a fingerprint of the data, of how it is deformed, and of its targets."""
        hashed = hashlib.blake2b(self.base.digest().encode(), digest_size=16)
        if self.targets is not None:
            hashed.update(np.ascontiguousarray(self.targets(self.head.X[:64])).tobytes())
        hashed.update(repr(self.deform).encode())
        return hashed.hexdigest()


def teacher_targets(teacher: Any, labels: Labels, X: Any) -> NDArray[Any]:
    """Return a teacher's targets (M, D_O) for the rows of X.

    Raises
    ------
    InputError
        If the teacher is not fitted, knows other classes, or returns no such targets.
    """
    if hasattr(teacher, "fit") and not hasattr(teacher, "classes_"):
        raise InputError(
            "teacher is not fitted: fit or load it first (scikit-learn's clone, as in cross-validation, "
            "forgets what it has learnt; there give teacher=net.outputs)"
        )
    classes = getattr(teacher, "classes_", getattr(teacher, "classes", None))
    if classes is not None and not np.array_equal(classes, labels.classes):
        raise InputError(
            f"teacher knows the classes {np.asarray(classes).tolist()}, but y has "
            f"{labels.classes.tolist()}: they must agree"
        )
    L = np.asarray(teacher.outputs(X) if hasattr(teacher, "outputs") else teacher(X))
    if L.shape != (X.shape[0], labels.D_O) or not ((L >= 0) & (L <= 1)).all():
        raise InputError(
            f"teacher gave an array of shape {L.shape}: must be ({X.shape[0]}, {labels.D_O}), the outputs "
            "for each row, in [0, 1]"
        )
    return L


def targets_of_rows(teacher: Any, labels: Labels) -> Callable[[Rows], NDArray[Any]] | None:
    """Return what gives the targets of rows by a teacher; None without one."""
    return None if teacher is None else partial(_targets_of_rows, teacher, labels)


def _targets_of_rows(teacher: Any, labels: Labels, rows: Rows) -> NDArray[Any]:
    return teacher_targets(teacher, labels, rows.X)
