"""Parquet files: row groups that are unpacked, columns of lists and bytes, malformed rows."""

import os

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from sample_files import X, read_samples, survey_quietly, write, write_table

from thetanet import open_source
from thetanet.data.formats.parquet import parquet_source
from thetanet.data.survey import survey_source
from thetanet.errors import DataFileError

pytestmark = pytest.mark.usefixtures("read_in_parts")


def test_a_row_group_that_is_too_large_is_unpacked_first(tmp_path):
    write("parquet", tmp_path)
    source = parquet_source(tmp_path / "d.parquet", max_group_bytes=500)
    np.testing.assert_array_equal(read_samples(source)[0], X)
    folder = source.parts[0].X.path
    assert os.path.exists(folder)
    del source
    assert not os.path.exists(folder)


def test_what_is_wrong_with_a_row_of_parquet(tmp_path):
    columns = {"a": [1.0, 2.0, None, 4.0, float("nan")], "label": ["u", "v", "u", None, "v"]}
    pq.write_table(pa.table(columns), tmp_path / "d.parquet", row_group_size=2)
    with pytest.raises(DataFileError, match=r"d\.parquet: row 3: column 'a' holds no value"):
        read_samples(open_source(tmp_path / "d.parquet"))
    with pytest.warns(UserWarning, match="3 bad rows skipped, the first at row 3: column 'a' holds no value"):
        assert survey_source(open_source(tmp_path / "d.parquet", skip_bad=True)).M == 2


@pytest.mark.parametrize(
    ("columns", "says"),
    [
        (
            {"city": ["Bern", "Ulm"], "y": [0, 1]},
            r"'city' holds string, not numbers \('Bern' in the first row",
        ),
        ({"a": [1, 2], "y": [[0], [1]]}, "'y' holds list"),
        ({"a": [1, 2]}, "no column that is known as the target"),
        ({"a": [b"xy", b"xyz"], "y": [0, 1]}, "row 2: column 'a' holds 3 bytes, the first value 2"),
        ({"a": [[1, 2], [3]], "y": [0, 1]}, "row 2: column 'a' holds 1 values, the first value 2"),
        ({"a": [b"xy", b"xy"], "b": [1, 2], "y": [0, 1]}, "'a' holds binary, not numbers"),
    ],
)
def test_what_is_no_table_of_numbers_in_parquet(tmp_path, columns, says):
    pq.write_table(pa.table(columns), tmp_path / "d.parquet")
    with pytest.raises(DataFileError, match=says):
        read_samples(open_source(tmp_path / "d.parquet"))


def test_the_index_of_a_pandas_frame_is_no_input(tmp_path):
    import pandas as pd

    frame = pd.DataFrame({"a": [1.0, 2.0, 3.0], "label": ["x", "y", "x"]}, index=[7, 3, 5])
    frame.to_parquet(tmp_path / "shuffled.parquet")
    source = open_source(tmp_path / "shuffled.parquet")
    assert source.feature_names == ["a"]
    X, y = next(iter(source))
    assert (X.ravel().tolist(), y.tolist()) == ([1.0, 2.0, 3.0], ["x", "y", "x"])


def test_one_column_of_all_inputs_has_no_names_to_compare(tmp_path):
    path = write_table(tmp_path / "d.parquet", {"image": [b"\1\2", b"\3\4"], "y": [0, 1]})
    assert read_samples(open_source(path, inputs=["a", "b"]))[0].tolist() == [[1, 2], [3, 4]]


def test_what_is_unpacked_first_keeps_its_names_and_their_order(tmp_path):
    path = write_table(tmp_path / "d.parquet", {"b": [3, 4], "a": [1, 2], "y": [0, 1]})
    source = parquet_source(path, inputs=["a", "b"], max_group_bytes=8)
    assert source.feature_names == ["a", "b"]
    assert read_samples(source)[0].tolist() == [[1, 3], [2, 4]]


@pytest.mark.parametrize("kind", [pa.binary(), pa.list_(pa.uint8()), pa.binary(2)])
def test_the_width_of_a_column_is_that_of_its_first_value(tmp_path, kind):
    schema = pa.schema({"pixels": kind, "y": pa.int64()})
    pixels = [b"\1\2", b"\3\4"] if pa.types.is_binary(kind) or kind == pa.binary(2) else [[1, 2], [3, 4]]
    pq.write_table(schema.empty_table(), tmp_path / "0.parquet")
    pq.write_table(pa.table({"pixels": pixels, "y": [0, 1]}, schema=schema), tmp_path / "1.parquet")
    assert read_samples(open_source(tmp_path))[0].tolist() == [[1, 2], [3, 4]]
    odd = pa.table({"pixels": [None, *pixels], "y": [0, 0, 1]}, schema=schema)
    pq.write_table(odd, tmp_path / "0.parquet")
    with pytest.raises(DataFileError, match="row 1: column 'pixels' holds no value;"):
        read_samples(open_source(tmp_path))
    assert survey_quietly(open_source(tmp_path, skip_bad=True)).M == 4
    for name in ("0", "1"):
        pq.write_table(pa.table({"pixels": [None], "y": [0]}, schema=schema), tmp_path / f"{name}.parquet")
    with pytest.raises(DataFileError, match=r"0.parquet: column 'pixels' holds no values"):
        open_source(tmp_path)


def test_bytes_are_of_the_type_that_is_asked_for(tmp_path):
    path = write_table(tmp_path / "d.parquet", {"pixels": [b"\1\2", b"\3\xff"], "y": [0, 1]})
    X, _ = read_samples(open_source(path, dtype="float32"))
    assert X.dtype == np.float32
    assert X.tolist() == [[1, 2], [3, 255]]
