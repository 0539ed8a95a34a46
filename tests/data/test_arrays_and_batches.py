"""Arrays, frames, sparse matrices and batches as sources."""

import numpy as np
import pytest
from sample_files import X, read_samples
from scipy import sparse

from thetanet import array_source, batches_source, open_source
from thetanet.errors import DataFileError, InputError

pytestmark = pytest.mark.usefixtures("read_in_parts")


@pytest.mark.parametrize(
    ("batches", "says"),
    [
        ([], "no samples"),
        (3, "give an iterable"),
        ([(np.eye(2), [0])], "batch 0: X has shape"),
        ([(np.eye(2), [0, 1]), (np.eye(3), [0, 1, 2])], "batch 1: X has 3 dense inputs, those before 2"),
        ([(np.eye(2), [0, 1]), (sparse.eye(2), [0, 1])], "batch 1: X has 2 sparse inputs"),
        ([(np.eye(2), [0, 1]), (np.eye(2), ["a", "b"])], "batch 1: .* after int64"),
        ([(np.eye(2), [0, 1]), (np.eye(2, dtype=np.uint8), [0, 1]), 5], "batch 1: uint8 after float64"),
        ([np.eye(2)[0]], "batch 0"),
    ],
)
def test_batches_that_do_not_fit_are_told(batches, says):
    with pytest.raises(InputError, match=says):
        batches_source(batches)


def test_batches_may_be_sparse_and_labels_may_grow(tmp_path):
    pieces = [
        (sparse.csr_matrix(X[n : n + 50] * 0.5), np.array(["ab" * (1 + n // 50)] * 50)) for n in (0, 50)
    ]
    source = batches_source(lambda: pieces)
    found, y = read_samples(source)
    np.testing.assert_array_equal(found, X[:100] * 0.5)
    assert y.tolist() == ["ab"] * 50 + ["abab"] * 50


@pytest.mark.parametrize("kind", ["csc", "coo", "lil", "csr"])
def test_sparse_matrices_of_any_kind_are_samples(kind):
    X = sparse.random(20, 5, 0.5, random_state=0, format=kind)
    np.testing.assert_array_equal(read_samples(array_source(X, np.arange(20) % 2, rows=7))[0], X.toarray())


def test_lists_and_frames_are_samples():
    pandas = pytest.importorskip("pandas")
    X, y = [[1.0, 2.0], [3.0, 4.0]], [0, 1]
    assert read_samples(array_source(X, y))[0].tolist() == X
    source = array_source(pandas.DataFrame({"a": [1, 3], "b": pandas.array([2, 4], dtype="Int64")}), y)
    assert read_samples(source)[0].tolist() == X
    assert source.feature_names == ["a", "b"]
    with pytest.raises(InputError, match="X: holds what is no number"):
        array_source(pandas.DataFrame({"a": [1, 3], "b": ["x", "y"]}), y)


@pytest.mark.parametrize(
    ("X", "y", "rows", "says"),
    [
        (np.eye(2), [0, 1], 0, "rows=0: must be a whole number"),
        (np.eye(2), [0, 1], 2.5, "rows=2.5"),
        (np.eye(2), [0], 9, r"y \(1,\): give one label"),
        (np.eye(2), 3, 9, r"y \(\): give one label"),
        ([1, 2], [0, 1], 9, r"X has shape \(2,\)"),
        ([["a"], ["b"]], [0, 1], 9, "holds <U1"),
    ],
)
def test_what_are_no_samples_is_told(X, y, rows, says):
    with pytest.raises(InputError, match=says):
        array_source(X, y, rows=rows)


def test_batches_are_left_as_they_are():
    X = sparse.csr_matrix(([1.0, 2.0, 3.0], [2, 0, 1], [0, 2, 3]), shape=(2, 3))
    before = X.indices.copy()
    for array in (X.data, X.indices, X.indptr):
        array.setflags(write=False)
    source = batches_source([(X, [0, 1])])
    assert read_samples(source)[0].tolist() == [[2, 0, 1], [0, 3, 0]]
    np.testing.assert_array_equal(X.indices, before)


def test_rows_are_counted_from_1(tmp_path):
    X = np.eye(10)
    X[7, 1] = np.nan
    np.save(tmp_path / "X.npy", X)
    np.save(tmp_path / "y.npy", np.arange(10))
    with pytest.raises(DataFileError, match="rows 1 to 10: row 8 holds NaN"):
        read_samples(open_source(tmp_path))
    with pytest.raises(DataFileError, match="rows 6 to 10: row 8 holds NaN"):
        read_samples(array_source(X, np.arange(10), rows=5))
