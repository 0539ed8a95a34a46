import numpy as np
import pytest

from thetanet.data.dataset import open_dataset
from thetanet.data.formats.idx import write_idx
from thetanet.errors import DataFileError, InputError


def check_rows(source):
    rows = source.read_all()
    assert np.array_equal(rows.X, X.reshape(3, 8))
    assert np.array_equal(rows.y, Y)


X, Y = np.arange(24, dtype=np.uint8).reshape(3, 2, 4), np.array([0, 1, 1], np.uint8)


def test_mnist_by_default():
    data = open_dataset()
    shapes = [source.read_all().X.shape for source in (data.training, data.test)]
    assert (data.name, shapes) == ("MNIST", [(60000, 784), (10000, 784)])


@pytest.mark.parametrize("names", [("X", "y"), ("x_train", "y_train"), ("X_train", "Y_train")])
def test_npz(tmp_path, names):
    np.savez(tmp_path / "d.npz", **dict(zip(names, (X, Y), strict=True)))
    data = open_dataset(tmp_path / "d.npz")
    check_rows(data.training)
    assert data.test is None
    assert data.test_or_training is data.training


def test_npz_with_test_data(tmp_path):
    np.savez(tmp_path / "d.npz", X=X, y=Y, X_test=X[:1], y_test=Y[:1])
    rows = open_dataset(tmp_path / "d.npz").test.read_all()
    assert rows.X.shape == (1, 8)
    assert rows.y.tolist() == [0]


def test_folder_of_idx_files(tmp_path):
    write_idx(tmp_path / "train-images-idx3-ubyte", X)
    write_idx(tmp_path / "train-labels-idx1-ubyte.gz", Y, compress=True)
    check_rows(open_dataset(tmp_path).training)


def test_folder_of_npy_files(tmp_path):
    np.save(tmp_path / "X_train.npy", X)
    np.save(tmp_path / "y_train.npy", Y)
    check_rows(open_dataset(tmp_path).training)
    (tmp_path / "y_train.npy").write_bytes(b"no array")
    with pytest.raises(DataFileError, match=r"y_train.npy: is no .npy array"):
        open_dataset(tmp_path)


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
        ({"X": X[:0], "y": Y[:0]}, "there are no samples in it"),
        ({"X": X, "y": Y, "X_test": X}, "only one of X_test and y_test"),
        (
            {"X": X, "y": np.array([0, None, 1], object)},
            r"y holds Python objects; write texts as y.astype\(str\)",
        ),
        (b"PK\x03\x04 not a zip file", "cannot be read as .npz"),
        (b"", "cannot be read as .npz"),
    ],
)
def test_unusable_npz_files(tmp_path, content, message):
    with pytest.raises(InputError, match=message):
        open_dataset(broken_npz(tmp_path / "d.npz", content)).test  # noqa: B018


def test_paths_that_are_not_there(tmp_path):
    with pytest.raises(DataFileError, match="there is no such file or folder"):
        open_dataset(tmp_path / "nothing")
    (tmp_path / "d.txt").write_text("1")
    with pytest.raises(DataFileError, match=r"must end in .*\.npz"):
        open_dataset(tmp_path / "d.txt")
