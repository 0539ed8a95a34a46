import numpy as np
import pytest

from thetanet.data.dataset import load_data
from thetanet.data.formats.idx import write_idx
from thetanet.errors import DataFileError

X, Y = np.arange(24, dtype=np.uint8).reshape(3, 2, 4), np.array([0, 1, 1], np.uint8)


def test_mnist_by_default():
    data = load_data()
    assert (data.name, data.X.shape, data.X_test.shape) == ("MNIST", (60000, 784), (10000, 784))


@pytest.mark.parametrize("names", [("X", "y"), ("x_train", "y_train"), ("X_train", "Y_train")])
def test_npz(tmp_path, names):
    np.savez(tmp_path / "d.npz", **dict(zip(names, (X, Y), strict=True)))
    data = load_data(tmp_path / "d.npz")
    assert np.array_equal(data.X, X.reshape(3, 8))
    assert np.array_equal(data.y, Y)
    assert data.X_test is None


def test_npz_with_test_data(tmp_path):
    np.savez(tmp_path / "d.npz", X=X, y=Y, X_test=X[:1], y_test=Y[:1])
    data = load_data(tmp_path / "d.npz")
    assert data.X_test.shape == (1, 8)
    assert data.y_test.tolist() == [0]


def test_folder_of_idx_files(tmp_path):
    write_idx(tmp_path / "train-images-idx3-ubyte", X)
    write_idx(tmp_path / "train-labels-idx1-ubyte.gz", Y, compress=True)
    data = load_data(tmp_path)
    assert np.array_equal(data.X, X.reshape(3, 8))
    assert np.array_equal(data.y, Y)


def test_folder_of_npy_files(tmp_path):
    np.save(tmp_path / "X_train.npy", X)
    np.save(tmp_path / "y_train.npy", Y)
    data = load_data(tmp_path)
    assert isinstance(data.X.base, np.memmap)  # mapped, so that it may be larger than memory
    assert np.array_equal(data.X, X.reshape(3, 8))
    assert np.array_equal(data.y, Y)
    (tmp_path / "y_train.npy").write_bytes(b"no array")
    with pytest.raises(DataFileError, match=r"y_train.npy: cannot be read as \.npy"):
        load_data(tmp_path)


def broken_npz(path, content):
    if isinstance(content, bytes):
        path.write_bytes(content)
    else:
        np.savez(path, **content)
    return path


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"X": X}, r"holds \['X'\]; it needs X and y"),
        ({"X": X, "y": Y[:2]}, r"X has shape \(3, 2, 4\) and y \(2,\)"),
        ({"X": X[:0], "y": Y[:0]}, "one row and y one label for each sample"),
        ({"X": X, "y": Y, "X_test": X}, "only one of X_test and y_test"),
        ({"X": X, "y": np.array([0, None, 1], object)}, "y holds Python objects"),
        (b"PK\x03\x04 not a zip file", "cannot be read as .npz"),
        (b"", "cannot be read as .npz"),
    ],
)
def test_unusable_npz_files(tmp_path, content, message):
    with pytest.raises(DataFileError, match=message):
        load_data(broken_npz(tmp_path / "d.npz", content))


def test_paths_that_are_not_there(tmp_path):
    with pytest.raises(DataFileError, match="there is no such file or folder"):
        load_data(tmp_path / "nothing")
    (tmp_path / "d.txt").write_text("1")
    with pytest.raises(DataFileError, match=r"must end in \.npz"):
        load_data(tmp_path / "d.txt")
