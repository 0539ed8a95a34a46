"""A data set: training samples, and test samples, which are opened when they are first used."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from os import PathLike
from typing import Any

from thetanet.data.formats.arrays import array_source
from thetanet.data.mnist import load_mnist_test, load_mnist_training
from thetanet.data.open import check_paths, open_source, open_test_source
from thetanet.data.source import Source


@dataclass(frozen=True)
class Dataset:
    """Training and (perhaps) test data.

    Attributes
    ----------
    name : str
        Where they are from.
    training : Source
        The training samples.
    open_test : callable
        Returns the test samples, or None. It is called when `test` is first used, so that training cannot
        see them.
    """

    name: str
    training: Source
    open_test: Callable[[], Source | None] = lambda: None

    @cached_property
    def test(self) -> Source | None:
        """Test samples; None if there are none."""
        return self.open_test()

    @property
    def test_or_training(self) -> Source:
        """Test samples, or the training samples if there are none."""
        return self.training if self.test is None else self.test


def open_dataset(
    path: str | PathLike[str] | Sequence[str | PathLike[str]] | None = None, **options: Any
) -> Dataset:
    """Open a data set: MNIST if `path` is None, else whatever `open_source` opens, with its options.

    Test data is what lies beside the training data: X_test and y_test in an .npz file or as .npy files, the
    t10k files of IDX, a folder test/ of images.

    Raises
    ------
    DataFileError, InputError, MissingExtraError
        As `open_source`.
    """
    if path is None:
        return Dataset(
            "MNIST", array_source(*load_mnist_training()), lambda: array_source(*load_mnist_test())
        )
    source = open_source(path, **options)
    paths = check_paths(path)
    return Dataset(
        source.name, source, lambda: open_test_source(paths[0], options) if len(paths) == 1 else None
    )
