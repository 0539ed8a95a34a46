"""From paths to sources: formats are recognised, arguments checked, and files that change are noticed."""

import os

import numpy as np
import pyarrow.parquet as pq
import pytest
from sample_files import (
    NAMES,
    X,
    Y,
    csv_text,
    make_table,
    read_samples,
    write,
    write_class_folders,
    write_rows,
)

from thetanet import open_source
from thetanet.data import files
from thetanet.errors import DataFileError, InputError

pytestmark = pytest.mark.usefixtures("read_in_parts")


@pytest.mark.parametrize("ending", ["parquet", "csv", "svm"])
def test_several_files_and_a_folder_of_them(tmp_path, ending):
    paths = []
    for n, rows in enumerate([slice(0, 150), slice(150, 400)]):
        path = tmp_path / f"{n}.{ending}"
        if ending == "parquet":
            columns = [*NAMES, "label"] if n == 0 else ["label", *reversed(NAMES)]  # in any order
            pq.write_table(make_table(X[rows], Y[rows]).select(columns), path)
        elif ending == "csv":
            path.write_text(csv_text(X[rows], Y[rows], ",;"[n]))
        else:
            folder = tmp_path / f"part{n}"
            folder.mkdir()
            write("svmlight", folder, X[rows], Y[rows])
            (folder / "d.svm").rename(path)
        paths.append(path)
    for source in (open_source(paths), open_source(tmp_path)):
        found, y = read_samples(source)
        np.testing.assert_array_equal(found, X)
        np.testing.assert_array_equal(y, Y)


@pytest.mark.parametrize("name", ["npy", "npz", "idx", "parquet", "csv", "svmlight"])
def test_a_file_that_changes_or_shrinks_is_told(tmp_path, name, monkeypatch):
    source = write(name, tmp_path)
    stamps = {
        path.stat().st_ino: files.file_stamp(str(path)) for path in tmp_path.iterdir() if path.is_file()
    }
    path = max((p for p in tmp_path.iterdir() if p.is_file()), key=lambda p: p.stat().st_size)
    content = path.read_bytes()
    path.write_bytes(content + b"\n")
    with pytest.raises(DataFileError, match=rf"{path.name}: has changed since it was opened"):
        read_samples(source)
    # Shrinks after its stamp was compared:
    path.write_bytes(content[: len(content) // 2])
    monkeypatch.setattr(files, "file_stamp", lambda file: stamps[os.stat(file).st_ino])
    with pytest.raises(DataFileError, match=path.name):
        read_samples(source)


def test_a_file_that_is_removed_is_told(tmp_path):
    for name in ("csv", "parquet", "npz"):
        source = write(name, tmp_path)
        for path in tmp_path.glob("d.*"):
            path.unlink()
        with pytest.raises(DataFileError, match="cannot be read"):
            read_samples(source)


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("d.txt", "must end in"),
        ("d.csv.gz", "unpack it first"),
        ("nothing.csv", "no such file"),
        ("d.zip", "must"),
    ],
)
def test_what_is_no_data_is_told(tmp_path, name, says):
    if "nothing" not in name:
        (tmp_path / name).write_bytes(b"1,2\n")
    with pytest.raises(DataFileError, match=says):
        open_source(tmp_path / name)


def test_a_folder_of_nothing_and_of_two_kinds_is_told(tmp_path):
    with pytest.raises(DataFileError, match="holds no tables"):
        open_source(tmp_path)
    write("csv", tmp_path)
    write("svmlight", tmp_path)
    with pytest.raises(DataFileError, match="several formats"):
        open_source(tmp_path)
    with pytest.raises(InputError, match="empty list"):
        open_source([])
    with pytest.raises(InputError, match="target='a': has no meaning"):
        open_source(tmp_path / "d.svm", target="a")


def test_a_shape_of_less_than_nothing_is_told(tmp_path):
    write("npy", tmp_path)
    content = (tmp_path / "X.npy").read_bytes().replace(b"(400, 12)", b"(400,-12)")
    (tmp_path / "X.npy").write_bytes(content)
    with pytest.raises(DataFileError, match="-12"):
        open_source(tmp_path)


@pytest.mark.parametrize(
    ("path", "options", "says"),
    [
        (None, {}, "path: is NoneType; give a path"),
        (3, {}, "path: is int"),
        ([], {}, "path: is an empty list"),
        (["d.csv", 3], {}, "path: is list; give a path, or a list of paths"),
        (np.eye(2), {}, "path: is ndarray; .* array_source"),
        ("d.csv", {"target": 3}, "target=3: must be the name"),
        ("d.csv", {"dtype": "int"}, "dtype='int'"),
        ("d.svm", {"n_features": "3"}, "n_features='3': must be a whole number"),
        ("d.svm", {"n_features": 0}, "n_features=0: must be a whole number of at least 1|at least 1"),
        ("images", {"size": 28}, "size=28: must be"),
        ("images", {"size": "28"}, "size='28': must be"),
        ("images", {"size": (28, 2.5)}, r"size=\(28, 2.5\): must be"),
        ("images", {"size": (0, 28)}, r"size=\(0, 28\): must be"),
    ],
)
def test_arguments_of_open_source_are_checked(tmp_path, path, options, says):
    write_rows(tmp_path / "d.csv", "a,y", "1,0", "2,1")
    (tmp_path / "d.svm").write_text("0 1:1\n1 2:1\n")
    write_class_folders(tmp_path / "images", "cat", "dog")
    with pytest.raises(InputError, match=says):
        open_source(tmp_path / path if isinstance(path, str) else path, **options)


def test_several_npz_files_are_no_source(tmp_path):
    paths = [tmp_path / "a.npz", tmp_path / "b.npz"]
    for path in paths:
        np.savez(path, X=X, y=Y)
    for path in (paths, tmp_path):
        with pytest.raises(DataFileError, match=r"must end in|holds no tables"):
            open_source(path)
    (tmp_path / "d.csv").write_text(csv_text())
    np.testing.assert_array_equal(
        read_samples(open_source(tmp_path))[0], X
    )  # beside a table they are ignored
