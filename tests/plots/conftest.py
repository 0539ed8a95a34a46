"""A training on XOR, and a classifier whose mistakes are known."""

import numpy as np
import pytest

from thetanet import ThetaNetClassifier


@pytest.fixture(scope="session")
def xor():
    """Return samples (columns) and targets."""
    return np.array([[0.0, 0, 1, 1], [0, 1, 0, 1]]), np.array([[0.0, 1, 1, 0]])


@pytest.fixture(scope="session")
def train_on_xor(xor):
    """Return a function that trains: it returns the path of the training and its history."""
    X, L = xor

    def train(descent="lbfgs", epochs=25):
        net = ThetaNetClassifier(4, descent=descent, epochs=epochs, scaling="none", random_state=0)
        path = [net.theta_.copy() for _ in net.iter_fit(X.T, L[0].astype(int))]
        return path, net.history_

    return train


class Bars:
    """A classifier of 3 x 5 images: the row with the most ink, by its part of the ink."""

    classes_ = np.array(["low", "middle", "top"])

    def predict_proba(self, X):
        rows = np.asarray(X.toarray() if hasattr(X, "toarray") else X, float).reshape(-1, 3, 5).sum(axis=2)
        return rows / rows.sum(axis=1, keepdims=True)

    def predict(self, X):
        return self.classes_[self.predict_proba(X).argmax(axis=1)]


@pytest.fixture
def bars_net():
    return Bars()


@pytest.fixture
def bars():
    X = np.ones((6, 3, 5))
    X[np.arange(6), np.arange(6) % 3] += np.arange(1, 7)[:, None]
    y = np.array(["low", "top", "top", "middle", "middle", "low"])  # 1, 3 and 5 are wrong: the last is surest
    return X, y
