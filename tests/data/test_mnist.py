import gzip
import hashlib
import re
import time
from importlib import resources

import numpy as np

import thetanet.data.mnist
from thetanet.data.mnist import load_mnist


def test_the_module_wins_over_the_folder_of_the_same_name():
    assert thetanet.data.mnist.__file__.endswith("mnist.py")


def test_files_are_the_originals():
    folder = resources.files("thetanet.data") / "mnist"
    listed = re.findall(r"^    ([0-9a-f]{64})  (\S+)$", (folder / "README.md").read_text(), re.MULTILINE)
    assert len(listed) == 4
    for digest, name in listed:
        content = gzip.decompress((folder / f"{name}.gz").read_bytes())
        assert hashlib.sha256(content).hexdigest() == digest
    # The list itself, against the digest of the training images that is published everywhere.
    assert dict(map(reversed, listed))["train-images-idx3-ubyte"].startswith("ba891046e6505d7a")


def test_shapes_and_well_known_facts():
    X_train, y_train, X_test, y_test = load_mnist()
    assert X_train.shape == (60000, 784)
    assert X_test.shape == (10000, 784)
    assert {a.dtype for a in (X_train, y_train, X_test, y_test)} == {np.dtype(np.uint8)}
    assert y_train[:10].tolist() == [5, 0, 4, 1, 9, 2, 1, 3, 1, 4]
    assert y_test[:10].tolist() == [7, 2, 1, 0, 4, 1, 4, 9, 5, 9]
    assert np.bincount(y_train).tolist() == [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949]
    assert np.bincount(y_test).tolist() == [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]
    # Mean and deviation of the training pixels, as everybody's normalisation has them.
    assert abs(X_train.mean() / 255 - 0.1307) < 5e-5
    assert abs(X_train.std() / 255 - 0.3081) < 5e-5
    # The top stroke of the first image, a 5, lies in one row: images are not transposed.
    assert X_train[0].reshape(28, 28)[5, 12:].tolist() == [
        *(3, 18, 18, 18, 126, 136, 175, 26, 166, 255, 247, 127),
        *(0, 0, 0, 0),
    ]


def test_loading_is_quick():
    def once():
        start = time.process_time()
        load_mnist()
        return time.process_time() - start

    assert min(once() for _ in range(3)) < 0.5
