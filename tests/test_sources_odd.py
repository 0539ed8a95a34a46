"""Sources of odd files: what is ambiguous, empty, half there or named alike is read rightly, or told."""

import numpy as np
import pytest

from thetanet import open_source
from thetanet.data.parquet import parquet_source
from thetanet.errors import DataFileError, InputError

pa = pytest.importorskip("pyarrow")
pq = pytest.importorskip("pyarrow.parquet")
csv = pytest.importorskip("pyarrow.csv")


@pytest.fixture(autouse=True)
def _own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("THETANET_CACHE", str(tmp_path / "notes"))


def joined(source):
    """Return X, dense, and y of all parts in order."""
    pieces = list(source)
    X = [X if isinstance(X, np.ndarray) else X.toarray() for X, _ in pieces]
    return np.concatenate(X), np.concatenate([y for _, y in pieces])


def write_table(path, columns):
    """Write a table as CSV or Parquet, as its path says."""
    frame = pa.table(columns)
    (pq.write_table if path.suffix == ".parquet" else csv.write_csv)(frame, path)
    return path


# Columns


@pytest.mark.parametrize("ending", ["csv", "parquet"])
def test_columns_come_in_the_order_that_is_asked_for(tmp_path, ending):
    path = write_table(tmp_path / f"d.{ending}", {"c": [3, 30], "y": [0, 1], "a": [1, 10], "b": [2, 20]})
    source = open_source(path, inputs=["a", "b", "c"])
    X, y = joined(source)
    assert X.tolist() == [[1, 2, 3], [10, 20, 30]]
    assert y.tolist() == [0, 1]
    assert source.feature_names == ["a", "b", "c"]


@pytest.mark.parametrize("ending", ["csv", "parquet"])
def test_columns_that_are_not_those_asked_for_are_named(tmp_path, ending):
    path = write_table(tmp_path / f"d.{ending}", {"a": [1, 2], "q": [3, 4], "r": [5, 6], "y": [0, 1]})
    with pytest.raises(DataFileError, match=r"'a', 'b'; it lacks 'b' and has 'q', 'r', which"):
        open_source(path, inputs=["a", "b"])
    with pytest.raises(DataFileError, match=r"it has 'r', which is not among them$"):
        open_source(path, inputs=["a", "q"])
    with pytest.raises(DataFileError, match=r"it lacks 'z'$"):
        open_source(path, inputs=["a", "q", "r", "z"])


def test_names_of_inputs_are_a_list_of_different_names(tmp_path):
    path = write_table(tmp_path / "d.csv", {"a": [1, 2], "y": [0, 1]})
    with pytest.raises(InputError, match="inputs='a': must be the names"):
        open_source(path, inputs="a")
    with pytest.raises(InputError, match="names 'a' more than once"):
        open_source(path, inputs=["a", "a"])


def test_one_column_of_all_inputs_has_no_names_to_compare(tmp_path):
    path = write_table(tmp_path / "d.parquet", {"image": [b"\1\2", b"\3\4"], "y": [0, 1]})
    assert joined(open_source(path, inputs=["a", "b"]))[0].tolist() == [[1, 2], [3, 4]]


def test_what_is_unpacked_first_keeps_its_names_and_their_order(tmp_path):
    path = write_table(tmp_path / "d.parquet", {"b": [3, 4], "a": [1, 2], "y": [0, 1]})
    source = parquet_source(path, inputs=["a", "b"], largest=8)
    assert source.feature_names == ["a", "b"]
    assert joined(source)[0].tolist() == [[1, 3], [2, 4]]
