"""Sources of odd files: what is ambiguous, empty, half there or named alike is read rightly, or told."""

import os
import pickle
import time
import warnings

import numpy as np
import pytest
from PIL import Image
from scipy import sparse

from thetanet import ThetaNetClassifier, array_source, batches_source, open_source
from thetanet.data import survey_cache
from thetanet.data.alignment import align_source
from thetanet.data.convert import convert
from thetanet.data.feature_names import order_names
from thetanet.data.formats import npy
from thetanet.data.formats.parquet import parquet_source
from thetanet.data.formats.table import check_same_names, find_target
from thetanet.data.open import open_test_source
from thetanet.data.scaling import Scaling
from thetanet.data.survey import survey_source
from thetanet.errors import DataFileError, InputError
from thetanet.evaluation.figures import evaluate

pa = pytest.importorskip("pyarrow")
pq = pytest.importorskip("pyarrow.parquet")
csv = pytest.importorskip("pyarrow.csv")


@pytest.fixture(autouse=True)
def _own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("THETANET_CACHE", str(tmp_path / "notes"))
    monkeypatch.setattr("thetanet.data.survey.IN_MEMORY_BYTES", 0)  # small sources are read in parts too


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


def test_one_column_of_all_inputs_has_no_names_to_compare(tmp_path):
    path = write_table(tmp_path / "d.parquet", {"image": [b"\1\2", b"\3\4"], "y": [0, 1]})
    assert joined(open_source(path, inputs=["a", "b"]))[0].tolist() == [[1, 2], [3, 4]]


def test_what_is_unpacked_first_keeps_its_names_and_their_order(tmp_path):
    path = write_table(tmp_path / "d.parquet", {"b": [3, 4], "a": [1, 2], "y": [0, 1]})
    source = parquet_source(path, inputs=["a", "b"], max_group_bytes=8)
    assert source.feature_names == ["a", "b"]
    assert joined(source)[0].tolist() == [[1, 3], [2, 4]]


# Folders of images


def write_images(folder, *names):
    """Write two images into each of these subfolders."""
    for shade, name in enumerate(names):
        (folder / name).mkdir(parents=True)
        for n in range(2):
            Image.fromarray(np.full((3, 3), 10 * shade + n, np.uint8)).save(folder / name / f"{n}.png")


def classes_of(source):
    return sorted(set(joined(source)[1].tolist()))


@pytest.mark.parametrize("beside", [".cache/huggingface", "annotations", ".git", ".hidden/cat"])
def test_what_lies_beside_train_and_test_is_no_class(tmp_path, beside):
    write_images(tmp_path, "train/cat", "train/dog", "test/cat", "test/dog")
    (tmp_path / beside).mkdir(parents=True)
    (tmp_path / beside / "notes.xml").write_text("<note/>")
    if beside[0] == ".":
        Image.new("L", (3, 3)).save(tmp_path / beside / "0.png")
    assert classes_of(open_source(tmp_path)) == ["cat", "dog"]
    assert classes_of(open_test_source(tmp_path)) == ["cat", "dog"]


def test_a_folder_that_may_be_a_split_or_a_class_is_told(tmp_path):
    write_images(tmp_path / "a", "train/cat", "train/dog", "test/cat", "extra/cat")
    with pytest.raises(
        DataFileError, match=r"images in train/ and in extra/; if train/ is what to train on, g"
    ):
        open_source(tmp_path / "a")
    write_images(tmp_path / "b", "train", "test", "other")
    with pytest.raises(DataFileError, match="if it is a class, give it another name"):
        open_source(tmp_path / "b")
    write_images(tmp_path / "c", "train/cat", "Training/cat")
    with pytest.raises(DataFileError, match="images in Training/ and in train/; remove one"):
        open_source(tmp_path / "c")
    write_images(tmp_path / "d", "train", "bus", "car")
    assert classes_of(open_source(tmp_path / "d")) == ["bus", "car", "train"]


def test_hidden_folders_within_a_class_hold_no_samples(tmp_path):
    write_images(tmp_path, "cat", "dog", "cat/.ipynb_checkpoints")
    assert len(joined(open_source(tmp_path))[1]) == 4


# Notes on first passes


def notes_in(folder):
    return sorted(path.name for path in (folder / "notes").glob("*"))


def small(folder, kind, times):
    """Write four samples in a folder of this kind."""
    folder.mkdir()
    X, y = times * np.arange(8.0).reshape(4, 2), np.array([0, 1, 0, 1])
    if kind == "npy":
        np.save(folder / "X.npy", X)
        np.save(folder / "y.npy", y)
    elif kind == "images":
        write_images(folder, *([str(n) for n in range(2)] if times > 1 else ["1", "0"]))
    elif kind == "svm":
        rows = [f"{label} 1:{a} 2:{b}\n" for label, (a, b) in zip(y, X.astype(int) % 10, strict=True)]
        (folder / "d.svm").write_text("".join(rows))
    else:
        write_table(folder / f"d.{kind}", {"a": X[:, 0] % 10, "b": X[:, 1] % 10, "y": y})
    for path in folder.rglob("*"):
        os.utime(path, (1e9, 1e9))


@pytest.mark.parametrize("kind", ["npy", "csv", "parquet", "svm", "images"])
def test_a_relative_path_is_not_taken_for_another_folder_s(tmp_path, monkeypatch, kind):
    found = []
    for name, times in (("A", 1), ("B", 3)):
        small(tmp_path / name, kind, times)
        monkeypatch.chdir(tmp_path / name)
        source = open_source(".")
        found.append(survey_source(source).digest)
        monkeypatch.chdir(tmp_path)  # and it can be read from anywhere
        joined(source)
    assert found[0] != found[1]
    assert len(notes_in(tmp_path)) == 2


def test_what_is_never_met_again_leaves_no_note(tmp_path):
    X, y = np.eye(4), [0, 1, 0, 1]
    survey_source(batches_source([(X, y)]))
    survey_source(batches_source([(sparse.csr_matrix(X), y)]))
    assert notes_in(tmp_path) == []
    np.savez_compressed(tmp_path / "d.npz", X=X, y=y)
    survey_source(open_source(tmp_path / "d.npz"))
    assert len(notes_in(tmp_path)) == 1


def test_old_notes_go_and_other_files_stay(tmp_path, monkeypatch):
    monkeypatch.setattr(survey_cache, "MAX_FILES", 2)
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes" / "mine.json").write_text("{}")
    for n in range(4):
        small(tmp_path / str(n), "npy", n + 1)
        survey_source(open_source(tmp_path / str(n)))
        survey_source(open_source(tmp_path / "0"))  # used again, and so it stays
    assert len(notes_in(tmp_path)) == 3
    assert "mine.json" in notes_in(tmp_path)
    monkeypatch.setattr(npy.NpyPart, "read", lambda part: pytest.fail("was read again"))
    survey_source(open_source(tmp_path / "0"))


@pytest.mark.parametrize("text", ["null", "[]", "{}", '{"kind": 3}', "\0", '{"kind": [2, "x", false, null]}'])
def test_a_note_that_is_damaged_is_made_again(tmp_path, text):
    small(tmp_path / "d", "npy", 1)
    first = survey_source(open_source(tmp_path / "d"))
    (tmp_path / "notes" / notes_in(tmp_path)[0]).write_text(text)
    assert survey_source(open_source(tmp_path / "d")).digest == first.digest


def test_without_a_place_for_notes_there_are_none(tmp_path, monkeypatch):
    small(tmp_path / "d", "npy", 1)
    monkeypatch.setenv("THETANET_CACHE", str(tmp_path / ("long" * 100)))  # nothing can be asked of this path
    assert survey_source(open_source(tmp_path / "d")).M == 4
    monkeypatch.delenv("THETANET_CACHE")
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)

    def nobody():
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr(survey_cache.Path, "home", nobody)
    assert survey_source(open_source(tmp_path / "d")).M == 4


# Rows of CSV


def write_rows(path, header, *rows):
    path.write_text("\n".join([header, *rows]) + "\n")
    return path


def without_warnings(source):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return survey_source(source)


@pytest.mark.parametrize("labels", ["01", "ab", ("true", "false"), ("1.0", "2.0")])
def test_a_file_of_bad_rows_only_is_left_out(tmp_path, labels):
    for n, values in ((1, "1,2"), (2, "1,x"), (3, "1,2")):
        rows = [f"{values},{labels[n % 2]}" for n in range(10)]
        write_rows(tmp_path / f"{n}.csv", "a,b,y", *rows)
    source = open_source(tmp_path, skip_bad=True)
    assert without_warnings(source).M == 20
    net = ThetaNetClassifier(hidden=2, epochs=1, random_state=0)
    with pytest.warns(UserWarning, match=r"2.csv: 10 bad rows"):
        net.fit(source)
    assert net.classes_.dtype.kind == {"0": "i", "a": "U", "true": "b", "1.0": "f"}[labels[0]]


def test_booleans_are_inputs_too(tmp_path):
    rows = ["true,1,0", "false,2,1", "True,3,0", "FALSE,4,1"]
    path = write_rows(tmp_path / "d.csv", "flag,a,y", *rows)
    for skip_bad in (False, True):
        X, _ = joined(open_source(path, skip_bad=skip_bad))
        assert X.tolist() == [[1, 1], [0, 2], [1, 3], [0, 4]]
        assert X.dtype == np.float64
    assert joined(open_source(path, dtype="uint8"))[0].dtype == np.uint8
    write_rows(path, "flag,a,y", *rows, "maybe,5,0", "false,x,1", "false,6,1")
    with pytest.raises(DataFileError, match="line 6: column 'flag' is of type bool: invalid value 'maybe'"):
        joined(open_source(path))
    source = open_source(path, skip_bad=True)
    assert without_warnings(source).M == 5
    assert joined(source)[0][-1].tolist() == [0, 6]


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
        joined(open_source(path))
    source = open_source(path, skip_bad=True)
    found = without_warnings(source)
    assert found.M == 12
    assert found.labels().classes.dtype.kind == kind
    assert len(found.class_counts) == 2


# Labels


def fitted(source, **more):
    return ThetaNetClassifier(hidden=2, epochs=1, random_state=0).fit(source, **more)


def label_files(folder, kind, labels):
    """Write samples with these labels."""
    folder.mkdir()
    if kind == "images":
        write_images(folder, *labels)
        return open_source(folder)
    rows = [f"{n},{n % 3},{label}" for n, label in enumerate(labels * 2)]
    if kind == "csv":
        return open_source(write_rows(folder / "d.csv", "a,b,y", *rows))
    X = np.random.default_rng(0).normal(size=(len(labels), 2))
    whole = all(label.isdigit() for label in labels)
    y = np.array([int(label) if whole else label for label in labels])
    if kind == "parquet":
        return open_source(write_table(folder / "d.parquet", {"a": X[:, 0], "b": X[:, 1], "y": y}))
    return batches_source([(X, y)])


@pytest.mark.parametrize("kind", ["images", "csv", "parquet", "batches"])
def test_further_data_has_the_type_of_labels_of_the_training_data(tmp_path, kind):
    train = label_files(tmp_path / "train", kind, ["0", "1", "other"])
    further = label_files(tmp_path / "test", kind, ["0", "1"])
    net = fitted(train, X_val=further)
    assert net.classes_.tolist() == ["0", "1", "other"]
    assert sum(map(sum, evaluate(net, further).confusion)) == sum(len(y) for _, y in further)
    convert(train, tmp_path / "to", further)
    assert np.load(tmp_path / "to" / "y_test.npy").dtype.kind == "U"
    again = pickle.loads(pickle.dumps(align_source(further, None, net.classes_)))
    assert set(joined(again)[1]) == {"0", "1"}


@pytest.mark.parametrize(("odd", "plain"), [("x", ["007", "07"]), ("maybe", ["true", "FALSE"])])
def test_texts_are_read_as_they_are_written(tmp_path, odd, plain):
    net = fitted(label_files(tmp_path / "train", "csv", [odd, *plain]))
    further = label_files(tmp_path / "test", "csv", plain)
    assert set(joined(align_source(further, None, net.classes_))[1]) == set(plain)
    assert evaluate(net, further).samples == 4


@pytest.mark.parametrize("missing", [None, np.nan, float("nan"), np.datetime64("NaT", "D")])
def test_a_label_that_is_missing_is_told(missing):
    y = np.array(["a", "b", missing, "a"], dtype=object)
    says = "the label of row 3 is (None|nan|NaT); remove the row or label it"
    with pytest.raises(InputError, match=f"batches: batch 1: {says}"):
        batches_source([(np.eye(4), ["a", "b", "c", "d"]), (np.eye(4), y)])
    with pytest.raises(InputError, match=f"y: {says}"):
        array_source(np.eye(4), y)


def test_a_label_that_is_missing_in_a_frame_or_a_file_is_told(tmp_path):
    pandas = pytest.importorskip("pandas")
    with pytest.raises(InputError, match=r"label of row 2 is (<NA>|nan)"):
        array_source(np.eye(2), pandas.Series(["a", pandas.NA]))
    np.save(tmp_path / "X.npy", np.eye(3))
    np.save(tmp_path / "y.npy", [0, 1, np.nan])
    with pytest.raises(DataFileError, match=r"X.npy, rows 1 to 3: the label of row 3 is nan"):
        joined(open_source(tmp_path))
    with pytest.raises(DataFileError, match=r"X.npy, rows 3 to 3: the label of row 3 is nan"):
        joined(npy.npy_source(tmp_path / "X.npy", tmp_path / "y.npy", rows=2))


@pytest.mark.parametrize(
    ("y", "kind"),
    [([0, 1], "i"), ([np.int8(0), 1], "i"), ([True, False], "b"), (["a", "b"], "U"), ([0, 1.0], "f")],
)
def test_labels_that_are_objects_become_what_they_are(y, kind):
    y = np.array(y, dtype=object)
    for source in (batches_source([(np.eye(2), y)]), array_source(np.eye(2), y)):
        assert joined(source)[1].dtype.kind == kind


@pytest.mark.parametrize(
    ("y", "says"),
    [
        (np.array([0, "a"], object), "of type int and str"),
        (np.array([b"a", b"b"]), r"of type \|S1; give texts \(y.astype\(str\)\)"),
        (np.array([b"a", b"b"], object), "of type bytes"),
        (None, "row 1 is None"),
        (np.array([1j, 2]), "complex"),
    ],
)
def test_labels_of_other_types_are_told(tmp_path, y, says):
    with pytest.raises(InputError, match=says):
        array_source(np.eye(2), y)
    with pytest.raises(InputError, match=says):
        batches_source([(np.eye(2), y)])


def test_files_of_bytes_for_labels_are_told(tmp_path):
    np.save(tmp_path / "X.npy", np.eye(2))
    np.save(tmp_path / "y.npy", np.array([b"a", b"b"]))
    with pytest.raises(
        DataFileError, match=r"y.npy: holds \|S1; give numbers, or labels as texts by y.astype"
    ):
        open_source(tmp_path)


# Arrays and batches


@pytest.mark.parametrize("kind", ["csc", "coo", "lil", "csr"])
def test_sparse_matrices_of_any_kind_are_samples(kind):
    X = sparse.random(20, 5, 0.5, random_state=0, format=kind)
    np.testing.assert_array_equal(joined(array_source(X, np.arange(20) % 2, rows=7))[0], X.toarray())


def test_lists_and_frames_are_samples():
    pandas = pytest.importorskip("pandas")
    X, y = [[1.0, 2.0], [3.0, 4.0]], [0, 1]
    assert joined(array_source(X, y))[0].tolist() == X
    source = array_source(pandas.DataFrame({"a": [1, 3], "b": pandas.array([2, 4], dtype="Int64")}), y)
    assert joined(source)[0].tolist() == X
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
    assert joined(source)[0].tolist() == [[2, 0, 1], [0, 3, 0]]
    np.testing.assert_array_equal(X.indices, before)


def test_rows_are_counted_from_1(tmp_path):
    X = np.eye(10)
    X[7, 1] = np.nan
    np.save(tmp_path / "X.npy", X)
    np.save(tmp_path / "y.npy", np.arange(10))
    with pytest.raises(DataFileError, match="rows 1 to 10: row 8 holds NaN"):
        joined(open_source(tmp_path))
    with pytest.raises(DataFileError, match="rows 6 to 10: row 8 holds NaN"):
        joined(array_source(X, np.arange(10), rows=5))


# Parquet


@pytest.mark.parametrize("kind", [pa.binary(), pa.list_(pa.uint8()), pa.binary(2)])
def test_the_width_of_a_column_is_that_of_its_first_value(tmp_path, kind):
    schema = pa.schema({"pixels": kind, "y": pa.int64()})
    pixels = [b"\1\2", b"\3\4"] if pa.types.is_binary(kind) or kind == pa.binary(2) else [[1, 2], [3, 4]]
    pq.write_table(schema.empty_table(), tmp_path / "0.parquet")
    pq.write_table(pa.table({"pixels": pixels, "y": [0, 1]}, schema=schema), tmp_path / "1.parquet")
    assert joined(open_source(tmp_path))[0].tolist() == [[1, 2], [3, 4]]
    odd = pa.table({"pixels": [None, *pixels], "y": [0, 0, 1]}, schema=schema)
    pq.write_table(odd, tmp_path / "0.parquet")
    with pytest.raises(DataFileError, match="row 1: column 'pixels' holds no value;"):
        joined(open_source(tmp_path))
    assert without_warnings(open_source(tmp_path, skip_bad=True)).M == 4
    for name in ("0", "1"):
        pq.write_table(pa.table({"pixels": [None], "y": [0]}, schema=schema), tmp_path / f"{name}.parquet")
    with pytest.raises(DataFileError, match=r"0.parquet: column 'pixels' holds no values"):
        open_source(tmp_path)


def test_bytes_are_of_the_type_that_is_asked_for(tmp_path):
    path = write_table(tmp_path / "d.parquet", {"pixels": [b"\1\2", b"\3\xff"], "y": [0, 1]})
    X, _ = joined(open_source(path, dtype="float32"))
    assert X.dtype == np.float32
    assert X.tolist() == [[1, 2], [3, 255]]


# svmlight


@pytest.mark.parametrize("bad", ["1 2:x 900:1", "1 5:1 3:1 900:1", "nan 900:1", "1 0:x 3:1", "2.5 3:x 4:1"])
def test_a_line_that_is_left_out_says_nothing_of_the_others(tmp_path, bad):
    (tmp_path / "d.svm").write_text("\n".join(["0 1:1 3:2", bad, "1 2:1"]) + "\n")
    source = open_source(tmp_path / "d.svm", skip_bad=True)
    assert without_warnings(source).M == 2
    X, y = joined(source)
    assert X.tolist() == [[1, 0, 2], [0, 1, 0]]
    assert y.dtype.kind == "i"


# Arguments


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
    write_images(tmp_path / "images", "cat", "dog")
    with pytest.raises(InputError, match=says):
        open_source(tmp_path / path if isinstance(path, str) else path, **options)


def test_names_of_wide_tables_are_compared_in_time():
    names = [f"p{n}" for n in range(50_000)]
    begun = time.process_time()
    assert find_target("d.csv", [*names, "y"], None) == "y"
    check_same_names("e.csv", names[::-1], "d.csv", names)
    assert order_names("e.csv", names, names[::-1]) == tuple(names[::-1])
    assert time.process_time() - begun < 5  # half a minute if each were looked for among all


# Scaling


@pytest.mark.parametrize("times", [1e-200, 1e-3, 1, 1e200])
@pytest.mark.parametrize("shift", [0.0, 3.0])
def test_the_scaling_of_parts_is_that_of_all_samples(times, shift):
    X = times * (np.random.default_rng(0).normal(size=(100, 3)) + shift)
    X[:, 2] = times
    found, whole = survey_source(array_source(X, np.arange(100) % 2, rows=7)).measure_scaling(), Scaling.of(X)
    np.testing.assert_allclose(found.factor, whole.factor, rtol=1e-13)
    np.testing.assert_allclose(found.shift, whole.shift, rtol=1e-12)


def test_constant_pixels_are_standardised_too():
    X = np.full((1000, 2), 77, np.uint8)
    X[:, 1] = np.arange(1000) % 200
    found = survey_source(array_source(X, np.arange(1000) % 2, rows=7)).measure_scaling("standard")
    np.testing.assert_allclose(found.factor, Scaling.of(X, "standard").factor)
