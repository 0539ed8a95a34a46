"""Tables of both formats: types, order and names of the columns, in one or several files."""

import json
import time

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from sample_files import NAMES, M, X, Y, make_table, read_samples, write, write_table

from thetanet import ThetaNetClassifier, open_source
from thetanet.cli import main
from thetanet.data.feature_names import order_names
from thetanet.data.formats.csv import csv_source
from thetanet.data.formats.table import check_same_names, find_target
from thetanet.errors import DataFileError, InputError

pytestmark = pytest.mark.usefixtures("read_in_parts")


@pytest.mark.parametrize(
    ("kinds", "expected"),
    [
        ([pa.uint8(), pa.uint8()], "uint8"),
        ([pa.uint8(), pa.bool_()], "float32"),
        ([pa.float32(), pa.int16()], "float32"),
        ([pa.float32(), pa.int32()], "float64"),
        ([pa.float64(), pa.uint8()], "float64"),
        ([pa.dictionary(pa.int8(), pa.float32()), pa.float32()], "float32"),
    ],
)
def test_the_type_of_the_inputs_holds_all_values(tmp_path, kinds, expected):
    columns = {}
    for n, kind in enumerate(kinds):
        inner = kind.value_type if pa.types.is_dictionary(kind) else kind
        values = pa.array([0, 1, 1, 0]).cast(inner)
        columns[f"c{n}"] = values.dictionary_encode().cast(kind) if inner != kind else values
    pq.write_table(pa.table({**columns, "y": [True, False, True, False]}), tmp_path / "d.parquet")
    found, y = read_samples(open_source(tmp_path / "d.parquet"))
    assert found.dtype == expected
    np.testing.assert_array_equal(found, [[0, 0], [1, 1], [1, 1], [0, 0]])
    assert y.dtype == bool


def test_numbers_are_read_as_the_type_that_was_asked_for_or_refused(tmp_path):
    source = csv_source
    write("csv", tmp_path)
    assert read_samples(open_source(tmp_path / "d.csv", dtype="uint8"))[0].dtype == np.uint8
    (tmp_path / "e.csv").write_text("a,y\n1,0\n256,1\n")
    with pytest.raises(DataFileError, match=r"e\.csv: line 3: column 'a' \(as uint8\) holds 256"):
        read_samples(source(tmp_path / "e.csv", dtype="uint8"))
    with pytest.raises(InputError, match="dtype='int3'"):
        open_source(tmp_path / "e.csv", dtype="int3")


@pytest.mark.parametrize("ending", ["csv", "parquet"])
def test_files_of_one_table_have_the_same_columns(tmp_path, ending):
    def write(name, columns):
        whole = make_table().select(columns)
        if ending == "csv":
            import pyarrow.csv

            pyarrow.csv.write_csv(whole, tmp_path / f"{name}.csv")
        else:
            pq.write_table(whole, tmp_path / f"{name}.parquet")

    write("a", [*NAMES[:3], "label"])
    write("b", ["p0", "p2", "label"])
    with pytest.raises(DataFileError, match=rf"b\.{ending}: has no column 'p1', which .*a\.{ending} has"):
        open_source(tmp_path)
    write("b", [*NAMES[:4], "label"])
    with pytest.raises(DataFileError, match=rf"b\.{ending}: has a column 'p3', which .*a\.{ending} lacks"):
        open_source(tmp_path)


def test_a_type_that_changes_between_files_is_told(tmp_path):
    pq.write_table(make_table(), tmp_path / "a.parquet")
    pq.write_table(make_table(X.astype(np.float64)), tmp_path / "b.parquet")
    with pytest.raises(
        DataFileError, match=r"b\.parquet: column 'p0' holds double, but .*a\.parquet holds uint8"
    ):
        open_source(tmp_path)
    pq.write_table(make_table(y=[str(label) for label in Y]), tmp_path / "b.parquet")
    with pytest.raises(DataFileError, match=r"b\.parquet: column 'label' holds string"):
        open_source(tmp_path)


@pytest.mark.parametrize("kept", [0, 1 << 30], ids=["parts", "memory"])
def test_the_command_line_holds_out_and_deforms_samples_of_a_table(tmp_path, capsys, monkeypatch, kept):
    monkeypatch.setattr("thetanet.data.survey.IN_MEMORY_BYTES", kept)
    squares = np.random.default_rng(12).integers(
        256, size=(M, 16), dtype=np.uint8
    )  # as images of 4 x 4 pixels
    columns = {f"p{j}": squares[:, j] for j in range(16)}
    pq.write_table(pa.table({**columns, "label": pa.array(Y)}), tmp_path / "d.parquet", row_group_size=100)
    data, model = str(tmp_path / "d.parquet"), str(tmp_path / "m")
    short = ["--hidden", "4", "--epochs", "2", "--out", model, "--json"]
    assert main(["train", "--data", data, "--validation", "0.1", *short]) == 0
    assert len(json.loads(capsys.readouterr().out)["history"]["val_error"]) == 2
    assert main(["train", "--data", data, "--deform", *short]) == 0
    assert json.loads(capsys.readouterr().out)["M"] == M
    assert main(["train", "--data", data, "--target", "nothing", "--out", model]) == 2
    assert "has no column 'nothing' to be the target" in capsys.readouterr().err
    train = ["train", "--data", data, "--hidden", "4", "--epochs", "2", "--out", model, "--json"]
    assert main([*train, "--validation-data", data, "--patience", "1"]) == 0
    assert json.loads(capsys.readouterr().out)["history"]["val_error"]


def test_names_of_the_columns_come_with_the_network(tmp_path):
    net = ThetaNetClassifier(hidden=3, epochs=1).fit(write("parquet", tmp_path))
    assert net.feature_names_in_.tolist() == NAMES


@pytest.mark.parametrize("ending", ["csv", "parquet"])
def test_columns_come_in_the_order_that_is_asked_for(tmp_path, ending):
    path = write_table(tmp_path / f"d.{ending}", {"c": [3, 30], "y": [0, 1], "a": [1, 10], "b": [2, 20]})
    source = open_source(path, inputs=["a", "b", "c"])
    X, y = read_samples(source)
    assert X.tolist() == [[1, 2, 3], [10, 20, 30]]
    assert y.tolist() == [0, 1]
    assert source.feature_names == ["a", "b", "c"]


@pytest.mark.parametrize("ending", ["csv", "parquet"])
def test_columns_that_are_not_those_asked_for_are_named(tmp_path, ending):
    path = write_table(tmp_path / f"d.{ending}", {"a": [1, 2], "q": [3, 4], "r": [5, 6], "y": [0, 1]})
    with pytest.raises(DataFileError, match=r"'a', 'b'; it lacks 'b' and has 'q', 'r' besides"):
        open_source(path, inputs=["a", "b"])
    with pytest.raises(DataFileError, match=r"it has 'r' besides$"):
        open_source(path, inputs=["a", "q"])
    with pytest.raises(DataFileError, match=r"it lacks 'z'$"):
        open_source(path, inputs=["a", "q", "r", "z"])


def test_names_of_inputs_are_a_list_of_different_names(tmp_path):
    path = write_table(tmp_path / "d.csv", {"a": [1, 2], "y": [0, 1]})
    with pytest.raises(InputError, match="inputs='a': must be the names"):
        open_source(path, inputs="a")
    with pytest.raises(InputError, match="names 'a' more than once"):
        open_source(path, inputs=["a", "a"])


def test_names_of_wide_tables_are_compared_in_time():
    names = [f"p{n}" for n in range(50_000)]
    begun = time.process_time()
    assert find_target("d.csv", [*names, "y"], None) == "y"
    check_same_names("e.csv", names[::-1], "d.csv", names)
    assert order_names("e.csv", names, names[::-1]) == tuple(names[::-1])
    assert time.process_time() - begun < 5  # half a minute if each were looked for among all
