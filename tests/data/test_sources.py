"""Every format gives the samples that were written, trains to the same bits, and says what is wrong."""

import json
import os
import pickle
import subprocess
import sys

import numpy as np
import pytest
from scipy import sparse

from thetanet import ThetaNetClassifier, array_source, batches_source, open_source
from thetanet.cli import main
from thetanet.data import files
from thetanet.data.convert import convert
from thetanet.data.formats.csv import csv_source
from thetanet.data.formats.idx import write_idx
from thetanet.data.formats.images import images_source
from thetanet.data.formats.parquet import parquet_source
from thetanet.data.formats.svmlight import svmlight_source
from thetanet.data.survey import survey_source
from thetanet.errors import DataFileError, InputError
from thetanet.evaluation.figures import evaluate

pa = pytest.importorskip("pyarrow")
pq = pytest.importorskip("pyarrow.parquet")

M, D_I = 400, 12
rng = np.random.default_rng(11)
X = rng.integers(1, 256, size=(M, D_I), dtype=np.uint8)
Y = (X[:, :4].astype(int).sum(axis=1) // 350).clip(0, 2)
NAMES = [f"p{j}" for j in range(D_I)]


@pytest.fixture(autouse=True)
def _own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("THETANET_CACHE", str(tmp_path / "notes"))
    monkeypatch.setattr("thetanet.data.survey.IN_MEMORY_BYTES", 0)  # small sources are read in parts too


def joined(source):
    """Return X, dense, and y of all parts in order."""
    pieces = list(source)
    X = [X if isinstance(X, np.ndarray) else X.toarray() for X, _ in pieces]
    return np.concatenate(X), np.concatenate([y for _, y in pieces])


def table(X=X, y=Y, label="label"):
    return pa.table({**dict(zip(NAMES, X.T, strict=True)), label: pa.array(y)})


def write_parquet(folder, X=X, y=Y):
    pq.write_table(table(X, y), folder / "d.parquet", row_group_size=100)
    return open_source(folder / "d.parquet")


def write_pixels(folder, X=X, y=Y):
    packed = pa.table({"image": [row.tobytes() for row in X], "label": y})
    pq.write_table(packed, folder / "d.pq", row_group_size=100)
    return open_source(folder / "d.pq")


def write_lists(folder, X=X, y=Y):
    packed = pa.table(
        {"label": y, "image": pa.FixedSizeListArray.from_arrays(pa.array(X.ravel()), X.shape[1])}
    )
    pq.write_table(packed, folder / "d.pq", row_group_size=100)
    return open_source(folder / "d.pq")


def csv_text(X=X, y=Y, mark=","):
    rows = [mark.join([*NAMES, "label"])]
    rows += [mark.join([*map(str, row.tolist()), str(label)]) for row, label in zip(X, y, strict=True)]
    return "\n".join(rows) + "\n"


def write_csv(folder, X=X, y=Y):
    (folder / "d.csv").write_text(csv_text(X, y))
    return csv_source(folder / "d.csv", piece=3000)


def write_svmlight(folder, X=X, y=Y):
    rows = [f"{y} " + " ".join(f"{j + 1}:{v}" for j, v in enumerate(x)) for x, y in zip(X, y, strict=True)]
    (folder / "d.svm").write_text("# a comment\n" + "\n".join(rows) + "\n")
    return svmlight_source(folder / "d.svm", piece=3000)


def write_idx_folder(folder, X=X, y=Y, packed=""):
    write_idx(folder / f"train-images-idx3-ubyte{packed}", X.reshape(len(X), 3, 4), bool(packed))
    write_idx(folder / f"train-labels-idx1-ubyte{packed}", y.astype(np.int32), bool(packed))
    return open_source(folder)


def write_packed_idx(folder, X=X, y=Y):
    return write_idx_folder(folder, X, y, ".gz")


def write_npy(folder, X=X, y=Y):
    np.save(folder / "X.npy", X)
    np.save(folder / "y.npy", y)
    return open_source(folder)


def write_npz(folder, X=X, y=Y):
    np.savez(folder / "d.npz", X=X, y=y)
    return open_source(folder / "d.npz")


def write_packed_npz(folder, X=X, y=Y):
    np.savez_compressed(folder / "d.npz", X_train=X, y_train=y)
    return open_source(folder / "d.npz")


def write_batches(folder, X=X, y=Y):
    return batches_source(((X[low : low + 33], y[low : low + 33]) for low in range(0, len(X), 33)), rows=100)


def write_images(folder, X=X, y=Y):
    from PIL import Image

    for n, (pixels, label) in enumerate(zip(X, y, strict=True)):
        (folder / str(label)).mkdir(exist_ok=True)
        Image.fromarray(pixels.reshape(3, 4)).save(folder / str(label) / f"{n:05}.png")
    return images_source(folder, rows=100)


WRITERS = [
    write_parquet, write_pixels, write_lists, write_csv, write_svmlight, write_idx_folder, write_packed_idx,
    write_npy, write_npz, write_packed_npz, write_batches,
]  # fmt: skip


@pytest.mark.parametrize("write", WRITERS)
def test_a_format_gives_what_was_written(tmp_path, write):
    found, y = joined(write(tmp_path))
    np.testing.assert_array_equal(found, X)
    np.testing.assert_array_equal(y, Y)
    assert found.dtype == (np.float64 if write in (write_csv, write_svmlight) else np.uint8)
    assert y.dtype.kind == "i"


@pytest.mark.parametrize("write", [*WRITERS, write_images])
def test_a_part_is_read_by_another_process_too(tmp_path, write):
    source = write(tmp_path)
    for part in source.parts:
        found, again = pickle.loads(pickle.dumps(part)).read(), part.read()
        assert (found.X != again.X).sum() == 0
        np.testing.assert_array_equal(found.y, again.y)
        assert part.where


def test_images_are_all_read_with_the_classes_mixed(tmp_path):
    source = write_images(tmp_path)
    found, y = joined(source)
    assert sorted(zip(map(bytes, found), y.tolist(), strict=True)) == sorted(
        zip(map(bytes, X), Y.tolist(), strict=True)
    )
    assert all(len(np.unique(labels)) == len(np.unique(Y)) for _, labels in source)
    np.testing.assert_array_equal(joined(images_source(tmp_path))[1], y)  # the order is always the same


@pytest.mark.parametrize("write", [write_parquet, write_csv, write_npy, write_images])
def test_labels_can_be_texts(tmp_path, write):
    names = np.array(["oak", "birch", "alder-buckthorn"])[Y]
    found, y = joined(write(tmp_path, y=names))
    assert dict(zip(map(bytes, found.astype(np.uint8)), y.tolist(), strict=True)) == dict(
        zip(map(bytes, X), names.tolist(), strict=True)
    )


@pytest.mark.parametrize("write", WRITERS)
def test_whole_passes_are_the_same_from_every_format(tmp_path, write):
    settings = {"hidden": 4, "descent": "lbfgs", "epochs": 3, "random_state": 0, "scaling": "pixels"}
    trained = ThetaNetClassifier(**settings).fit(write(tmp_path))
    plain = X if write not in (write_csv, write_svmlight) else X.astype(np.float64)
    plain = sparse.csr_matrix(plain) if write is write_svmlight else plain
    expected = ThetaNetClassifier(**settings).fit(array_source(plain, Y))
    assert trained.theta_.flat.tobytes() == expected.theta_.flat.tobytes()


@pytest.mark.parametrize("write", [write_parquet, write_pixels, write_batches])
def test_mini_batches_are_the_same_where_parts_are(tmp_path, write):
    settings = {"hidden": 4, "epochs": 3, "batch_size": 16, "random_state": 0}
    trained = ThetaNetClassifier(**settings).fit(write(tmp_path))
    expected = ThetaNetClassifier(**settings).fit(array_source(X, Y, rows=100))
    assert trained.theta_.flat.tobytes() == expected.theta_.flat.tobytes()


# Several files


@pytest.mark.parametrize("ending", ["parquet", "csv", "svm"])
def test_several_files_and_a_folder_of_them(tmp_path, ending):
    paths = []
    for n, rows in enumerate([slice(0, 150), slice(150, 400)]):
        path = tmp_path / f"{n}.{ending}"
        if ending == "parquet":
            columns = [*NAMES, "label"] if n == 0 else ["label", *reversed(NAMES)]  # in any order
            pq.write_table(table(X[rows], Y[rows]).select(columns), path)
        elif ending == "csv":
            path.write_text(csv_text(X[rows], Y[rows], ",;"[n]))
        else:
            folder = tmp_path / f"part{n}"
            folder.mkdir()
            write_svmlight(folder, X[rows], Y[rows])
            (folder / "d.svm").rename(path)
        paths.append(path)
    for source in (open_source(paths), open_source(tmp_path)):
        found, y = joined(source)
        np.testing.assert_array_equal(found, X)
        np.testing.assert_array_equal(y, Y)


def test_indices_begin_at_0_in_all_files_if_they_do_in_one(tmp_path):
    (tmp_path / "a.svm").write_text("1 1:5 3:6\n2 2:7\n")
    (tmp_path / "b.svm").write_text("1 0:5\n")
    found, _ = joined(open_source(tmp_path))
    np.testing.assert_array_equal(found, [[0, 5, 0, 6], [0, 0, 7, 0], [5, 0, 0, 0]])
    assert joined(open_source(tmp_path / "a.svm"))[0].shape == (2, 3)
    assert joined(svmlight_source(tmp_path / "a.svm", n_features=9))[0].shape == (2, 9)


def test_a_row_group_that_is_too_large_is_unpacked_first(tmp_path):
    write_parquet(tmp_path)
    source = parquet_source(tmp_path / "d.parquet", max_group_bytes=500)
    np.testing.assert_array_equal(joined(source)[0], X)
    folder = source.parts[0].X.path
    assert os.path.exists(folder)
    del source
    assert not os.path.exists(folder)


# Types


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
    found, y = joined(open_source(tmp_path / "d.parquet"))
    assert found.dtype == expected
    np.testing.assert_array_equal(found, [[0, 0], [1, 1], [1, 1], [0, 0]])
    assert y.dtype == bool


def test_numbers_are_read_as_the_type_that_was_asked_for_or_refused(tmp_path):
    source = csv_source
    write_csv(tmp_path)
    assert joined(open_source(tmp_path / "d.csv", dtype="uint8"))[0].dtype == np.uint8
    (tmp_path / "e.csv").write_text("a,y\n1,0\n256,1\n")
    with pytest.raises(DataFileError, match=r"e\.csv: line 3: column 'a' \(as uint8\) holds 256"):
        joined(source(tmp_path / "e.csv", dtype="uint8"))
    with pytest.raises(InputError, match="dtype='int3'"):
        open_source(tmp_path / "e.csv", dtype="int3")


# What is wrong is said


def test_a_malformed_row_is_named_or_counted(tmp_path):
    lines = csv_text().split("\n")
    lines[17] = "1,2"  # line 18
    lines[200] = lines[200].replace(",", ",x", 1)
    (tmp_path / "d.csv").write_text("\n".join(lines))
    with pytest.raises(DataFileError, match=r"d\.csv: line 18: Expected 13 columns, got 2"):
        joined(csv_source(tmp_path / "d.csv", piece=3000))
    source = csv_source(tmp_path / "d.csv", piece=3000, skip_bad=True)
    good = [n for n in range(M) if n not in (16, 199)]
    np.testing.assert_array_equal(joined(source)[0], X[good])
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
        joined(open_source(tmp_path / "d.csv"))
    assert says in str(caught.value)


def test_the_labels_must_stay_what_they_are(tmp_path):
    (tmp_path / "d.csv").write_text("p,label\n" + "1,1\n2,0\n" * 50 + "3,high\n")
    with pytest.raises(
        DataFileError, match="line 102: column 'label' is of type int64: invalid value 'high'"
    ):
        joined(csv_source(tmp_path / "d.csv", piece=100))


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


@pytest.mark.parametrize("ending", ["csv", "parquet"])
def test_files_of_one_table_have_the_same_columns(tmp_path, ending):
    def write(name, columns):
        whole = table().select(columns)
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
    pq.write_table(table(), tmp_path / "a.parquet")
    pq.write_table(table(X.astype(np.float64)), tmp_path / "b.parquet")
    with pytest.raises(
        DataFileError, match=r"b\.parquet: column 'p0' holds double, but .*a\.parquet holds uint8"
    ):
        open_source(tmp_path)
    pq.write_table(table(y=[str(label) for label in Y]), tmp_path / "b.parquet")
    with pytest.raises(DataFileError, match=r"b\.parquet: column 'label' holds string"):
        open_source(tmp_path)


def test_what_is_wrong_with_a_row_of_parquet(tmp_path):
    columns = {"a": [1.0, 2.0, None, 4.0, float("nan")], "label": ["u", "v", "u", None, "v"]}
    pq.write_table(pa.table(columns), tmp_path / "d.parquet", row_group_size=2)
    with pytest.raises(DataFileError, match=r"d\.parquet: row 3: column 'a' holds no value"):
        joined(open_source(tmp_path / "d.parquet"))
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
        joined(open_source(tmp_path / "d.parquet"))


@pytest.mark.parametrize(
    ("row", "says"),
    [
        ("x 1:2", "label b'x' is no number"),
        ("1 a:2", "b'a:2' is not index:value"),
        ("1 1:a 2:3", "could not convert"),
        ("1 2:1 1:1 3:1", "sorted"),
        ("1 1:nan 2:2", "NaN"),
        ("1 1:2 99999999:1", "is above 10,000,000; give n_features"),
    ],
)
def test_what_is_wrong_with_a_line_of_svmlight(tmp_path, row, says):
    (tmp_path / "d.svm").write_text(f"1 1:2 2:3\n0 1:3\n\n{row}\n1 3:4\n")
    with pytest.raises(DataFileError, match="line 4") as caught:
        joined(open_source(tmp_path / "d.svm"))
    assert says in str(caught.value)
    with pytest.warns(UserWarning, match="1 bad row skipped, the first at line 4"):
        assert survey_source(open_source(tmp_path / "d.svm", skip_bad=True)).M == 3


def test_a_broken_image_is_named_or_counted(tmp_path):
    write_images(tmp_path, X[:20], Y[:20])
    path = next(tmp_path.glob("1/*.png"))
    path.write_bytes(path.read_bytes()[:40])
    with pytest.raises(DataFileError, match=path.name):
        joined(open_source(tmp_path))
    with pytest.warns(UserWarning, match="1 bad row skipped, the first at .*" + path.name):
        assert survey_source(open_source(tmp_path, skip_bad=True)).M == 19


def test_images_are_of_one_size_or_brought_to_it(tmp_path):
    from PIL import Image

    write_images(tmp_path, X[:20], Y[:20])
    Image.fromarray(np.full((6, 8), 40, np.uint8)).save(tmp_path / "1" / "large.png")
    with pytest.raises(DataFileError, match=r"pixels, other images .*give size=\(height, width\)"):
        joined(open_source(tmp_path))
    found, _ = joined(open_source(tmp_path, size=(3, 4)))
    assert (found == 40).all(axis=1).sum() == 1
    assert set(map(bytes, X[:20])) <= set(map(bytes, found))  # those of that size stay as they are
    small, _ = joined(open_source(tmp_path, size=(1, 1)))
    np.testing.assert_allclose(np.sort(small.ravel()), np.sort(np.rint(found.mean(axis=1))), atol=1)


@pytest.mark.parametrize(
    "write", [write_npy, write_npz, write_idx_folder, write_parquet, write_csv, write_svmlight]
)
def test_a_file_that_changes_or_shrinks_is_told(tmp_path, write, monkeypatch):
    source = write(tmp_path)
    path = max((p for p in tmp_path.iterdir() if p.is_file()), key=lambda p: p.stat().st_size)
    content = path.read_bytes()
    path.write_bytes(content + b"\n")
    with pytest.raises(DataFileError, match=rf"{path.name}: has changed since it was opened"):
        joined(source)
    # Shrinks after that was looked at:
    path.write_bytes(content[: len(content) // 2])
    monkeypatch.setattr(files, "file_stamp", lambda file: stamp)
    stamp = (
        getattr(source.parts[0], "stamp", None)
        or getattr(source.parts[0], "lines", getattr(source.parts[0], "X", None)).stamp
    )
    with pytest.raises(DataFileError, match=path.name):
        joined(source)


def test_an_image_that_changes_is_told(tmp_path):
    source = write_images(tmp_path, X[:20], Y[:20])
    path = next(tmp_path.glob("1/*.png"))
    path.write_bytes(path.read_bytes() + b"\0")
    with pytest.raises(DataFileError, match=rf"{path.name}: has changed"):
        joined(source)


def test_a_file_that_is_removed_is_told(tmp_path):
    for write in (write_csv, write_parquet, write_npz):
        source = write(tmp_path)
        for path in tmp_path.glob("d.*"):
            path.unlink()
        with pytest.raises(DataFileError, match="cannot be read"):
            joined(source)


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
    found, y = joined(source)
    np.testing.assert_array_equal(found, X[:100] * 0.5)
    assert y.tolist() == ["ab"] * 50 + ["abab"] * 50


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
    write_csv(tmp_path)
    write_svmlight(tmp_path)
    with pytest.raises(DataFileError, match="several formats"):
        open_source(tmp_path)
    with pytest.raises(InputError, match="empty list"):
        open_source([])
    with pytest.raises(InputError, match="target='a': has no meaning"):
        open_source(tmp_path / "d.svm", target="a")


def test_a_shape_of_less_than_nothing_is_told(tmp_path):
    write_npy(tmp_path)
    content = (tmp_path / "X.npy").read_bytes().replace(b"(400, 12)", b"(400,-12)")
    (tmp_path / "X.npy").write_bytes(content)
    with pytest.raises(DataFileError, match="-12"):
        open_source(tmp_path)


# Surveys


@pytest.mark.parametrize("write", [*WRITERS[:-1], write_images])
def test_a_second_survey_reads_nothing_and_a_change_is_noticed(tmp_path, write, monkeypatch):
    source = write(tmp_path)
    first = survey_source(source)
    assert first.M == M
    kind = type(source.parts[0])
    monkeypatch.setattr(kind, "read", lambda part: pytest.fail("was read again"))
    assert survey_source(source).digest == first.digest
    monkeypatch.undo()
    monkeypatch.setenv("THETANET_CACHE", str(tmp_path / "notes"))
    monkeypatch.setattr("thetanet.data.survey.IN_MEMORY_BYTES", 0)
    other = X.copy()
    other[0] = 1
    if write is write_images:
        return
    assert survey_source(write(tmp_path, other)).digest != first.digest


# Memory

_TRAINS = """
import resource, sys
import numpy as np
from thetanet.data.open import open_source
from thetanet import ThetaNetClassifier
net = ThetaNetClassifier(hidden=4, epochs=1, batch_size=1024, random_state=0)
net.fit(open_source(sys.argv[1]))
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10)
"""


def test_memory_does_not_grow_with_the_file(tmp_path):
    peaks = {}
    for name, rows in (("small", 200_000), ("large", 400_000)):  # of 784 bytes: 157 MB and 314 MB
        folder = tmp_path / name
        folder.mkdir()
        y = np.arange(rows) % 3
        large = np.lib.format.open_memmap(folder / "X.npy", "w+", np.uint8, (rows, 784))
        large[::100, ::7] = 255
        del large
        np.save(folder / "y.npy", y)
        done = subprocess.run(
            [sys.executable, "-c", _TRAINS, str(folder)], capture_output=True, text=True, check=True
        )
        peaks[name] = int(done.stdout)
    assert peaks["large"] - peaks["small"] < 40, peaks  # in MB; it was 2


# Converting, and the command line


@pytest.mark.parametrize("write", [write_parquet, write_csv, write_idx_folder, write_svmlight])
def test_what_is_converted_is_the_same(tmp_path, write):
    source = write(tmp_path)
    to = tmp_path / "converted"
    told = []
    assert convert(source, to, progress=lambda *n: told.append(n)) == (M, D_I)
    assert told[-1] == (len(source.parts), len(source.parts))
    again = open_source(to)
    assert all(type(X) is type(Z) for (X, _), (Z, _) in zip(source, again, strict=False))
    np.testing.assert_array_equal(joined(again)[0], X)
    np.testing.assert_array_equal(joined(again)[1], Y)
    assert not list(to.glob(".*"))
    with pytest.raises(InputError, match="already"):
        convert(source, to)


def test_a_conversion_that_fails_leaves_nothing(tmp_path):
    (tmp_path / "d.csv").write_text("p,label\n" + "1,a\n2,b\n" * 50 + "x,a\n")
    with pytest.raises(DataFileError, match="line 102"):
        convert(csv_source(tmp_path / "d.csv", piece=100), tmp_path / "to")
    assert list((tmp_path / "to").iterdir()) == []


def test_the_command_line_converts_trains_and_measures(tmp_path, capsys):
    pq.write_table(table(label="kind"), tmp_path / "d.parquet", row_group_size=100)
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


@pytest.mark.parametrize("kept", [0, 1 << 30], ids=["parts", "memory"])
def test_the_command_line_holds_out_and_deforms_samples_of_a_table(tmp_path, capsys, monkeypatch, kept):
    monkeypatch.setattr("thetanet.data.survey.IN_MEMORY_BYTES", kept)
    squares = rng.integers(256, size=(M, 16), dtype=np.uint8)  # as images of 4 x 4 pixels
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


@pytest.mark.filterwarnings("default")  # the command line shows them
def test_the_command_line_skips_bad_rows_aloud(tmp_path, capsys):
    (tmp_path / "d.csv").write_text(csv_text() + "1,2,3\n")
    data, model = str(tmp_path / "d.csv"), str(tmp_path / "m")
    train = ["train", "--data", data, "--hidden", "4", "--epochs", "1", "--out", model]
    assert main(train) == 2
    assert f"line {M + 2}" in capsys.readouterr().err
    assert main([*train, "--skip-bad"]) == 0
    assert f"d.csv: 1 bad row skipped, the first at line {M + 2}" in capsys.readouterr().err


def test_test_data_of_svmlight_has_the_inputs_of_the_training_data(tmp_path, capsys):
    (tmp_path / "train.svm").write_text("1 0:1 5:2\n0 1:3\n" * 20)  # indices from 0
    (tmp_path / "test.svm").write_text("1 5:2\n0 1:3\n")  # which is not to be seen here
    train, test, model = (str(tmp_path / name) for name in ("train.svm", "test.svm", "m"))
    fit = ["train", "--data", train, "--hidden", "4", "--epochs", "30", "--out", model, "--json"]
    assert main([*fit, "--test", test, "--validation-data", test]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["D_I"] == 6
    assert report["test_accuracy"] == 1
    assert main(["evaluate", model, "--data", test, "--zero-based", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["error"] == report["test_error"]
    write_npz(tmp_path)
    with pytest.raises(InputError, match="zero_based=False: has no meaning"):
        open_source(tmp_path / "d.npz", zero_based=False)


def test_figures_in_parts_are_those_of_all_samples_at_once():
    net = ThetaNetClassifier(hidden=4, epochs=2, random_state=0).fit(X, Y)
    whole = evaluate(net, X, Y, worst=5, reject_below=0.6)
    parts = evaluate(net, array_source(X, Y, rows=37), worst=5, reject_below=0.6)
    assert parts.confusion == whole.confusion
    assert [mistake["row"] for mistake in parts.worst] == [mistake["row"] for mistake in whole.worst]
    for name in ("samples", "mistakes", "answered", "labels"):
        assert getattr(parts, name) == getattr(whole, name)
    for name in ("accuracy", "error", "calibration_error", "accuracy_answered"):
        assert getattr(parts, name) == pytest.approx(getattr(whole, name))


def test_names_of_the_columns_come_with_the_network(tmp_path):
    net = ThetaNetClassifier(hidden=3, epochs=1).fit(write_parquet(tmp_path))
    assert net.feature_names_in_.tolist() == NAMES


def test_without_pyarrow_the_extra_is_named(tmp_path, monkeypatch):
    write_csv(tmp_path)
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(ImportError, match=r"thetanet\[table\]"):
        open_source(tmp_path / "d.csv")


def test_the_index_of_a_pandas_frame_is_no_input(tmp_path):
    import pandas as pd

    frame = pd.DataFrame({"a": [1.0, 2.0, 3.0], "label": ["x", "y", "x"]}, index=[7, 3, 5])
    frame.to_parquet(tmp_path / "shuffled.parquet")
    source = open_source(tmp_path / "shuffled.parquet")
    assert source.feature_names == ["a"]
    X, y = next(iter(source))
    assert (X.ravel().tolist(), y.tolist()) == ([1.0, 2.0, 3.0], ["x", "y", "x"])
