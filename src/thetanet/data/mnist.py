"""MNIST, the handwritten digits of LeCun, Cortes and Burges, as it comes with thetanet."""

from __future__ import annotations

from contextlib import AbstractContextManager
from importlib import resources
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from thetanet.data.formats.idx import read_idx_test, read_idx_training
from thetanet.errors import DataFileError


def load_mnist() -> tuple[NDArray[np.uint8], NDArray[np.uint8], NDArray[np.uint8], NDArray[np.uint8]]:
    """Return MNIST: 60,000 training and 10,000 test images of handwritten digits, with their labels.

    Nothing is downloaded, the files are part of the package. Licence and citation are in the README
    beside them (CC BY-SA 3.0).

    Returns
    -------
    X_train : array of shape (60000, 784), uint8
        One image a row: 28 rows of 28 pixels, from 0 (paper) to 255 (ink).
    y_train : array of shape (60000,), uint8
        The digits, 0 to 9.
    X_test : array of shape (10000, 784), uint8
        As `X_train`.
    y_test : array of shape (10000,), uint8
        As `y_train`.

    Raises
    ------
    DataFileError
        If the installation lacks the files or they are damaged.
    """
    return *load_mnist_training(), *load_mnist_test()


def load_mnist_training() -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Return the training images and labels alone, as `load_mnist` does; the test files stay unread."""
    with _folder() as folder:
        return read_idx_training(folder)


def load_mnist_test() -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Return the test images and labels alone, as `load_mnist` does."""
    with _folder() as folder:
        test = read_idx_test(folder, 784)
        if test is None:
            raise DataFileError(f"{folder}: the test files of MNIST are missing; install thetanet again")
        return test


def _folder() -> AbstractContextManager[Path]:
    return resources.as_file(resources.files("thetanet.data") / "mnist")
