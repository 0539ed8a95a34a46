"""CSV files: malformed rows, types that are inferred from the first rows, booleans."""

import sys

import numpy as np
import pytest
from sample_files import M, X, csv_text, read_samples, survey_quietly, write, write_rows

from thetanet import ThetaNetClassifier, open_source
from thetanet.cli import main
from thetanet.data.formats.csv import csv_source
from thetanet.data.survey import survey_source
from thetanet.errors import DataFileError, InputError

pytestmark = pytest.mark.usefixtures("read_in_parts")


def test_a_malformed_row_is_named_or_counted(tmp_path):
    lines = csv_text().split("\n")
    lines[17] = "1,2"  # line 18
    lines[200] = lines[200].replace(",", ",x", 1)
    (tmp_path / "d.csv").write_text("\n".join(lines))
    with pytest.raises(DataFileError, match=r"d\.csv: line 18: Expected 13 columns, got 2"):
        read_samples(csv_source(tmp_path / "d.csv", piece=3000))
    source = csv_source(tmp_path / "d.csv", piece=3000, skip_bad=True)
    good = [n for n in range(M) if n not in (16, 199)]
    np.testing.assert_array_equal(read_samples(source)[0], X[good])
    for _ in range(2):  # from the note of the first survey, too
        with pytest.warns(UserWarning, match=r"d\.csv: 2 bad rows skipped, the first at line 18: Expected"):
            assert survey_source(csv_source(tmp_path / "d.csv", piece=3000, skip_bad=True)).M == M - 2


@pytest.mark.parametrize(
    ("row", "says"),
    [
        ("1,,a", "column 'q' is of type double: invalid value ''"),
        ("1,nan,a", "column 'q' holds nan"),
        ("1,1e999,a", "column 'q' holds inf"),
        ("1,2,3,4", "Expected 3 columns, got 4"),
        ("x,2,a", "column 'p' is of type double: invalid value 'x'"),
        ('1,2,"a', "a quote without an end"),
        ("1,2\r3,4,a", "carriage return"),
        ("1,2,\udcff", "UTF8"),
    ],
)
def test_what_is_wrong_with_a_row_of_csv(tmp_path, row, says):
    text = "p,q,label\n1,2,a\n3,4,b\n\n" + row + "\n5,6,b\n"
    (tmp_path / "d.csv").write_bytes(text.encode(errors="surrogateescape"))
    with pytest.raises(DataFileError, match="line 5") as caught:
        read_samples(open_source(tmp_path / "d.csv"))
    assert says in str(caught.value)


def test_the_labels_must_stay_what_they_are(tmp_path):
    (tmp_path / "d.csv").write_text("p,label\n" + "1,1\n2,0\n" * 50 + "3,high\n")
    with pytest.raises(
        DataFileError, match="line 102: column 'label' is of type int64: invalid value 'high'"
    ):
        read_samples(csv_source(tmp_path / "d.csv", piece=100))


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "no rows"),
        ("p,label\n", "no rows"),
        ("1,2\n3,4\n", "it must name the columns"),
        ("p,q\n1,2\n", "no column that is known as the target .* say which, by target=NAME"),
        ("p,p,label\n1,2,3\n", "2 columns named 'p'"),
        ("y,label\n1,2\n", "several columns that may be the target"),
        ("p\n1\n", "names 1 column"),
        ("city,label\nBern,1\nUlm,0\n", r"column 'city' holds texts, not numbers \('Bern' in line 2\)"),
    ],
)
def test_what_is_no_table_is_told(tmp_path, text, says):
    (tmp_path / "d.csv").write_text(text)
    with pytest.raises(DataFileError, match=says):
        open_source(tmp_path / "d.csv")


@pytest.mark.filterwarnings("default")  # the command line shows them
def test_the_command_line_skips_bad_rows_aloud(tmp_path, capsys):
    (tmp_path / "d.csv").write_text(csv_text() + "1,2,3\n")
    data, model = str(tmp_path / "d.csv"), str(tmp_path / "m")
    train = ["train", "--data", data, "--hidden", "4", "--epochs", "1", "--out", model]
    assert main(train) == 2
    assert f"line {M + 2}" in capsys.readouterr().err
    assert main([*train, "--skip-bad"]) == 0
    assert f"d.csv: 1 bad row skipped, the first at line {M + 2}" in capsys.readouterr().err


def test_without_pyarrow_the_extra_is_named(tmp_path, monkeypatch):
    write("csv", tmp_path)
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(ImportError, match=r"thetanet\[table\]"):
        open_source(tmp_path / "d.csv")


@pytest.mark.parametrize("labels", ["01", "ab", ("true", "false"), ("1.0", "2.0")])
def test_a_file_of_bad_rows_only_is_left_out(tmp_path, labels):
    for n, values in ((1, "1,2"), (2, "1,x"), (3, "1,2")):
        rows = [f"{values},{labels[n % 2]}" for n in range(10)]
        write_rows(tmp_path / f"{n}.csv", "a,b,y", *rows)
    source = open_source(tmp_path, skip_bad=True)
    assert survey_quietly(source).M == 20
    net = ThetaNetClassifier(hidden=2, epochs=1, random_state=0)
    with pytest.warns(UserWarning, match=r"2.csv: 10 bad rows"):
        net.fit(source)
    assert net.classes_.dtype.kind == {"0": "i", "a": "U", "true": "b", "1.0": "f"}[labels[0]]


def test_booleans_are_inputs_too(tmp_path):
    rows = ["true,1,0", "false,2,1", "True,3,0", "FALSE,4,1"]
    path = write_rows(tmp_path / "d.csv", "flag,a,y", *rows)
    for skip_bad in (False, True):
        X, _ = read_samples(open_source(path, skip_bad=skip_bad))
        assert X.tolist() == [[1, 1], [0, 2], [1, 3], [0, 4]]
        assert X.dtype == np.float64
    assert read_samples(open_source(path, dtype="uint8"))[0].dtype == np.uint8
    write_rows(path, "flag,a,y", *rows, "maybe,5,0", "false,x,1", "false,6,1")
    with pytest.raises(DataFileError, match="line 6: column 'flag' is of type bool: invalid value 'maybe'"):
        read_samples(open_source(path))
    source = open_source(path, skip_bad=True)
    assert survey_quietly(source).M == 5
    assert read_samples(source)[0][-1].tolist() == [0, 6]


def test_when_no_samples_are_left_the_first_bad_row_is_named(tmp_path):
    path = write_rows(tmp_path / "d.csv", "a,b,y", *["1,nan,0", "inf,2,1"] * 2)
    source = open_source(path, skip_bad=True)
    says = (
        r"no samples are left, 4 bad rows were skipped, the first at line 2 of .*d.csv: column 'b' holds nan"
    )
    with pytest.raises(InputError, match=says):
        survey_source(source)


@pytest.mark.parametrize(("labels", "kind"), [(("cat", "dog"), "U"), (("0", "1"), "i"), (("0.5", "1"), "f")])
def test_a_row_without_a_label_is_malformed(tmp_path, labels, kind):
    rows = [f"{n},{n + 1},{labels[n % 2]}" for n in range(6)]
    path = write_rows(tmp_path / "d.csv", "a,b,y", *rows, "3,4,", '5,6,""', *rows)
    with pytest.raises(DataFileError, match=r"line 8: column ('y' holds no value|.*)"):
        read_samples(open_source(path))
    source = open_source(path, skip_bad=True)
    found = survey_quietly(source)
    assert found.M == 12
    assert found.labels().classes.dtype.kind == kind
    assert len(found.class_counts) == 2
