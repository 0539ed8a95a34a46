"""Conversion to .npy files, in Python and on the command line."""

import json

import numpy as np
import pyarrow.parquet as pq
import pytest
from sample_files import D_I, M, X, Y, make_table, read_samples, write

from thetanet import open_source
from thetanet.cli import main
from thetanet.data.convert import convert
from thetanet.data.formats.csv import csv_source
from thetanet.errors import DataFileError, InputError

pytestmark = pytest.mark.usefixtures("read_in_parts")


@pytest.mark.parametrize("name", ["parquet", "csv", "idx", "svmlight"])
def test_what_is_converted_is_the_same(tmp_path, name):
    source = write(name, tmp_path)
    to = tmp_path / "converted"
    told = []
    assert convert(source, to, progress=lambda *n: told.append(n)) == (M, D_I)
    assert told[-1] == (len(source.parts), len(source.parts))
    again = open_source(to)
    assert all(type(X) is type(Z) for (X, _), (Z, _) in zip(source, again, strict=False))
    np.testing.assert_array_equal(read_samples(again)[0], X)
    np.testing.assert_array_equal(read_samples(again)[1], Y)
    assert not list(to.glob(".*"))
    with pytest.raises(InputError, match="already"):
        convert(source, to)


def test_a_conversion_that_fails_leaves_nothing(tmp_path):
    (tmp_path / "d.csv").write_text("p,label\n" + "1,a\n2,b\n" * 50 + "x,a\n")
    with pytest.raises(DataFileError, match="line 102"):
        convert(csv_source(tmp_path / "d.csv", piece=100), tmp_path / "to")
    assert list((tmp_path / "to").iterdir()) == []


def test_the_command_line_converts_trains_and_measures(tmp_path, capsys):
    pq.write_table(make_table(label="kind"), tmp_path / "d.parquet", row_group_size=100)
    data, model, folder = str(tmp_path / "d.parquet"), str(tmp_path / "m"), str(tmp_path / "npy")
    train = ["train", "--hidden", "8", "--epochs", "2", "--out", model, "--json"]
    assert main([*train, "--data", data, "--target", "kind", "--test", data]) == 0
    report = json.loads(capsys.readouterr().out)
    assert (report["M"], report["D_I"], report["data"]) == (M, D_I, data)
    assert main(["evaluate", model, "--data", data, "--target", "kind", "--json"]) == 0
    measured = json.loads(capsys.readouterr().out)
    assert measured["accuracy"] == report["test_accuracy"]
    assert measured["samples"] == M
    assert main(["convert", data, "--out", folder, "--target", "kind", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"out": folder, "M": M, "D_I": D_I}
    assert main(["evaluate", model, "--data", folder, "--json"]) == 0
    again = json.loads(capsys.readouterr().out)
    assert again["confusion"] == measured["confusion"]
