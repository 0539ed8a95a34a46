"""Types of labels: the same in further data, none missing."""

import pickle

import numpy as np
import pytest
from sample_files import read_samples, write_class_folders, write_rows, write_table

from thetanet import ThetaNetClassifier, array_source, batches_source, open_source
from thetanet.data.alignment import align_source
from thetanet.data.convert import convert
from thetanet.data.formats import npy
from thetanet.errors import DataFileError, InputError
from thetanet.evaluation.figures import evaluate

pytestmark = pytest.mark.usefixtures("read_in_parts")


def fitted(source, **more):
    return ThetaNetClassifier(hidden=2, epochs=1, random_state=0).fit(source, **more)


def label_files(folder, kind, labels):
    """Write samples with these labels."""
    folder.mkdir()
    if kind == "images":
        write_class_folders(folder, *labels)
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
    assert set(read_samples(again)[1]) == {"0", "1"}


@pytest.mark.parametrize(("odd", "plain"), [("x", ["007", "07"]), ("maybe", ["true", "FALSE"])])
def test_texts_are_read_as_they_are_written(tmp_path, odd, plain):
    net = fitted(label_files(tmp_path / "train", "csv", [odd, *plain]))
    further = label_files(tmp_path / "test", "csv", plain)
    assert set(read_samples(align_source(further, None, net.classes_))[1]) == set(plain)
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
        read_samples(open_source(tmp_path))
    with pytest.raises(DataFileError, match=r"X.npy, rows 3 to 3: the label of row 3 is nan"):
        read_samples(npy.npy_source(tmp_path / "X.npy", tmp_path / "y.npy", rows=2))


@pytest.mark.parametrize(
    ("y", "kind"),
    [([0, 1], "i"), ([np.int8(0), 1], "i"), ([True, False], "b"), (["a", "b"], "U"), ([0, 1.0], "f")],
)
def test_labels_that_are_objects_become_what_they_are(y, kind):
    y = np.array(y, dtype=object)
    for source in (batches_source([(np.eye(2), y)]), array_source(np.eye(2), y)):
        assert read_samples(source)[1].dtype.kind == kind


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
