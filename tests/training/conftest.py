"""What tests of training have in common."""

import numpy as np
import pytest
from sklearn.datasets import load_iris

from thetanet import CPUEngine


@pytest.fixture(scope="module")
def iris():
    """The samples of iris in a random order: X, y."""
    X, y = load_iris(return_X_y=True)
    order = np.random.default_rng(0).permutation(150)
    return X[order], y[order]


@pytest.fixture
def exact():
    """Options of a training whose rounding is small."""
    return {"descent": "gd", "engine": CPUEngine("float64")}


@pytest.fixture(scope="module")
def halves():
    """400 samples of two classes: X, y."""
    X = np.random.default_rng(0).random((400, 5))
    return X, (X[:, 0] > 0.5).astype(int)
