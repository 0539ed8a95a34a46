"""Training on sources is training on arrays: validation, weights, callbacks, labels and their messages."""

import json
import re

import numpy as np
import pytest
from scipy import sparse

from thetanet import CPUEngine, Deform, ThetaNetClassifier, array_source, open_source
from thetanet.cli import main
from thetanet.errors import DataFileError, InputError
from thetanet.evaluation.figures import evaluate

M, D_I = 240, 5
rng = np.random.default_rng(5)
X = rng.normal(size=(M, D_I))
Y = (X[:, 0] + X[:, 1] > 0).astype(int)
X_VAL, Y_VAL = X[:60] + 0.3, Y[:60]
NAMES = ["a", "b", "c", "d", "e"]


@pytest.fixture(autouse=True)
def _own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("THETANET_CACHE", str(tmp_path / "notes"))
    monkeypatch.setattr("thetanet.data.survey.IN_MEMORY_BYTES", 0)  # small sources are read in parts too


def net(**options):
    return ThetaNetClassifier(**{"hidden": 4, "descent": "lbfgs", "epochs": 3, "random_state": 0, **options})


def write_csv(path, X=X, y=Y, names=NAMES):
    rows = [",".join([*map(repr, x), str(label)]) for x, label in zip(X.tolist(), y.tolist(), strict=True)]
    path.write_text("\n".join([",".join([*names, "label"]), *rows]) + "\n")
    return path


# Validation


def test_held_out_rows_of_a_frame_are_still_those_of_the_frame():
    pd = pytest.importorskip("pandas")
    expected = net(validation_fraction=0.2).fit(X, Y)
    found = net(validation_fraction=0.2).fit(pd.DataFrame(X, columns=NAMES), Y)
    assert found.history_["val_error"] == expected.history_["val_error"]


def test_validation_arrays_are_measured_with_their_weights():
    weight = np.random.default_rng(0).uniform(size=60)
    expected = net().fit(X, Y, X_val=X_VAL, y_val=Y_VAL, sample_weight_val=weight)
    found = net().fit(array_source(X, Y), X_val=X_VAL, y_val=Y_VAL, sample_weight_val=weight)
    assert found.history_["val_error"] == pytest.approx(expected.history_["val_error"])
    assert found.history_["val_accuracy"] == pytest.approx(expected.history_["val_accuracy"])
    with pytest.raises(InputError, match="sample_weight_val"):
        net().fit(array_source(X, Y), X_val=X_VAL, y_val=Y_VAL, sample_weight_val=weight[:3])


def test_validation_data_may_hold_one_class_only():
    rows = Y == 1
    expected = net().fit(X, Y, X_val=X[rows], y_val=Y[rows])
    for held in ({"X_val": X[rows], "y_val": Y[rows]}, {"X_val": array_source(X[rows], Y[rows])}):
        found = net().fit(array_source(X, Y), **held)
        assert found.history_["val_error"] == pytest.approx(expected.history_["val_error"])
    with pytest.raises(InputError, match=r"only one class \(\[1\]\); .* at least two"):
        net().fit(array_source(X[rows], Y[rows]))


@pytest.mark.parametrize("patience", [None, 2])
def test_a_source_is_validation_data_of_arrays_too(tmp_path, patience):
    source = open_source(write_csv(tmp_path / "v.csv", X_VAL, Y_VAL))
    expected = net(patience=patience).fit(X, Y, X_val=X_VAL, y_val=Y_VAL)
    found = net(patience=patience).fit(X, Y, X_val=source)
    assert found.theta_.flat.tobytes() == expected.theta_.flat.tobytes()
    assert found.history_["val_error"] == pytest.approx(expected.history_["val_error"])


@pytest.mark.parametrize("training", [(X, Y), (array_source(X, Y),)], ids=["arrays", "source"])
@pytest.mark.parametrize(
    ("given", "says"),
    [
        (
            {"X_val": array_source(X_VAL, Y_VAL), "y_val": Y_VAL},
            "y_val: a source has its labels and weights itself",
        ),
        (
            {"X_val": array_source(X_VAL, Y_VAL), "sample_weight_val": np.ones(60)},
            "sample_weight_val: a source has its labels and weights itself",
        ),
        ({"X_val": X_VAL}, "X_val and y_val: give both or neither"),
        ({"y_val": Y_VAL}, "X_val and y_val: give both or neither"),
        ({"X_val": array_source(X_VAL[:, :3], Y_VAL)}, "3 inputs, but X has 5"),
        ({"X_val": X_VAL[:, :3], "y_val": Y_VAL}, "3 (features|inputs)"),
    ],
)
def test_validation_data_that_does_not_fit_is_told(training, given, says):
    with pytest.raises(ValueError, match=says):
        net().fit(*training, **given)


def score_twice(fitted, X, y):
    """A scorer that looks at predictions and at probabilities."""
    return np.mean(fitted.predict(X) == y) + fitted.predict_proba(X)[:, 1].mean()


@pytest.mark.parametrize("scoring", ["balanced_accuracy", "neg_log_loss", "roc_auc", score_twice])
def test_scores_of_held_out_samples_in_parts_are_those_of_arrays(scoring):
    expected = net(scoring=scoring, patience=2).fit(X, Y, X_val=X_VAL, y_val=Y_VAL)
    found = net(scoring=scoring, patience=2).fit(X, Y, X_val=array_source(X_VAL, Y_VAL, rows=7))
    assert found.history_["val_score"] == pytest.approx(expected.history_["val_score"], abs=1e-12)
    assert found.best_epoch_ == expected.best_epoch_


def test_samples_of_a_source_are_held_out_at_random():
    source = array_source(X, Y, rows=16)
    held = net(validation_fraction=0.25, descent="adam").fit(source)
    assert len(held.history_["val_error"]) == 3
    assert held.history_["samples"][0] < M  # the others are learnt from
    assert 0.1 < 1 - held.history_["samples"][0] / M < 0.4
    again = net(validation_fraction=0.25, descent="adam").fit(source)
    assert again.theta_ == held.theta_


def test_weights_of_a_source_count_as_those_of_arrays(tmp_path):
    weight = np.random.default_rng(1).uniform(size=M)
    weight[::5] = 0
    expected = net(engine=CPUEngine("float64")).fit(X, Y, weight)
    table = write_csv(tmp_path / "w.csv", np.column_stack([X, weight]), names=[*NAMES, "w"])
    for source in (array_source(X, Y, weight, rows=50), open_source(table, weight="w")):
        found = net(engine=CPUEngine("float64")).fit(source)
        np.testing.assert_allclose(found.theta_.flat, expected.theta_.flat, rtol=1e-6, atol=1e-9)
        assert found.history_["accuracy"] == pytest.approx(expected.history_["accuracy"])


@pytest.mark.parametrize("class_weight", ["balanced", {0: 0.5, 1: 3.0}])
def test_class_weights_of_a_source_are_those_of_arrays(class_weight):
    weight = np.random.default_rng(2).uniform(0.5, 1, size=M)
    settings = {"class_weight": class_weight, "engine": CPUEngine("float64")}
    expected = net(**settings).fit(X, Y, weight)
    found = net(**settings).fit(array_source(X, Y, weight, rows=31))
    np.testing.assert_allclose(found.theta_.flat, expected.theta_.flat, rtol=1e-6, atol=1e-9)


def test_a_teacher_labels_a_source_as_it_labels_arrays():
    teacher = net(epochs=20).fit(X, Y)
    expected = net(teacher=teacher, scaling="none").fit(X, Y)
    found = net(teacher=teacher, scaling="none").fit(array_source(X, Y, rows=50))
    assert found.history_["error"] == pytest.approx(expected.history_["error"], rel=1e-4)


def test_images_of_a_source_are_deformed_anew_in_each_epoch():
    images = np.random.default_rng(3).integers(256, size=(M, 49), dtype=np.uint8)
    settings = {"deform": Deform(), "descent": "adam"}
    source = array_source(images, Y, rows=50)
    found, again = (net(**settings).fit(source) for _ in range(2))
    assert found.theta_ == again.theta_
    assert found.theta_ != net(descent="adam").fit(source).theta_
    with pytest.raises(InputError, match="deform: X is sparse"):
        net(**settings).fit(array_source(sparse.csr_matrix(images), Y, rows=50))


def test_a_source_that_fits_into_memory_is_learnt_as_arrays_are(tmp_path, monkeypatch):
    monkeypatch.setattr("thetanet.data.survey.IN_MEMORY_BYTES", 1 << 20)
    settings = {"descent": "adam", "validation_fraction": 0.2, "class_weight": "balanced"}
    found = net(**settings).fit(open_source(write_csv(tmp_path / "t.csv")))
    assert found.theta_.flat.tobytes() == net(**settings).fit(X, Y).theta_.flat.tobytes()


def test_validation_data_of_any_kind_on_the_command_line(tmp_path, capsys):
    np.savez(tmp_path / "d.npz", X=X, y=Y)
    held = write_csv(tmp_path / "v.csv", X_VAL, Y_VAL)
    np.savez(tmp_path / "v.npz", X=X_VAL, y=Y_VAL)
    train = ["train", "--data", str(tmp_path / "d.npz"), "--hidden", "4", "--epochs", "2", "--json"]
    reports = []
    for path in (held, tmp_path / "v.npz"):
        assert main([*train, "--out", str(tmp_path / "m"), "--validation-data", str(path)]) == 0
        found = re.search(r'"val_error": \[([^]]*)', capsys.readouterr().out)[1]
        reports.append([float(each) for each in found.split(",")])
    assert reports[0] == pytest.approx(reports[1])


# Callbacks


def test_callbacks_see_a_training_on_a_source():
    callbacks = pytest.importorskip("sklearn.callback")
    for epochs in (2, "auto"):
        trained = net(epochs=epochs, descent="adam").set_callbacks(callbacks.ProgressBar())
        trained.fit(array_source(X, Y))
        assert trained.theta_ == net(epochs=epochs, descent="adam").fit(array_source(X, Y)).theta_


# Labels and weights


def test_a_column_of_labels_is_one_label_a_sample(tmp_path):
    expected = net().fit(array_source(X, Y, rows=100))
    np.save(tmp_path / "X.npy", X)
    np.save(tmp_path / "y.npy", Y[:, None])
    for source in (array_source(X, Y[:, None], rows=100), open_source(tmp_path)):
        found = net().fit(source, X_val=array_source(X_VAL, Y_VAL[:, None]))
        np.testing.assert_allclose(found.theta_.flat, expected.theta_.flat, rtol=1e-6, atol=1e-9)
        assert found.classes_.tolist() == [0, 1]


@pytest.mark.parametrize(
    ("class_weight", "y", "says"),
    [
        ("balanced", np.stack([Y, 1 - Y, Y], axis=1), "is not defined for multi-label y"),
        ({0: 0, 1: 0}, Y, r"class_weight=\{0: 0, 1: 0\}: .* above 0"),
        ("even", Y, "'even': must be"),
        ({5: 2}, Y, "5, which is not among the classes"),
    ],
)
def test_class_weights_that_cannot_be_are_told(class_weight, y, says):
    for training in ((X, y), (array_source(X, y),)):
        with pytest.raises(InputError, match=says):
            net(class_weight=class_weight).fit(*training)


def test_weights_of_samples_and_classes_that_leave_nothing_are_told():
    with pytest.raises(InputError, match=r"class_weight=\{0: 0\}: leaves no sample any weight"):
        net(class_weight={0: 0}).fit(X, Y, sample_weight=1.0 - Y)
    part = net(descent="adam", class_weight={0: 0}).partial_fit(X, Y)
    part.partial_fit(X[Y == 0], Y[Y == 0])  # the other class may come again
    assert np.isfinite(part.theta_.flat).all()


# What takes arrays only


def test_a_source_where_arrays_are_needed_is_told():
    source = array_source(X, Y)
    trained = ThetaNetClassifier(hidden=3, epochs=1).fit(source)
    for method in (
        trained.predict,
        trained.predict_proba,
        trained.partial_fit,
        ThetaNetClassifier().partial_fit,
    ):
        with pytest.raises(InputError, match="X: is a source, whose parts are read one by one"):
            method(source)


# Names of inputs


def reordered(path, X=X_VAL, y=Y_VAL, order=(3, 1, 4, 0, 2)):
    return write_csv(path, X[:, order], y, [NAMES[j] for j in order])


def spooled_table(path):
    """A table whose row groups are too large, so that it is unpacked first."""
    pq, csv = pytest.importorskip("pyarrow.parquet"), pytest.importorskip("pyarrow.csv")
    from thetanet.data.formats.parquet import parquet_source

    pq.write_table(csv.read_csv(reordered(path)), path.with_suffix(".parquet"))
    return parquet_source(path.with_suffix(".parquet"), max_group_bytes=500)


@pytest.mark.parametrize("kind", ["csv", "unpacked"])
@pytest.mark.parametrize("training", ["source", "frame"])
def test_inputs_of_further_data_are_taken_by_their_names(tmp_path, kind, training):
    pd = pytest.importorskip("pandas")
    path = tmp_path / "v.csv"
    held = spooled_table(path) if kind == "unpacked" else open_source(reordered(path))
    frame = pd.DataFrame(X, columns=NAMES), Y
    given = frame if training == "frame" else (open_source(write_csv(tmp_path / "t.csv")),)
    expected = net().fit(array_source(X, Y), X_val=X_VAL, y_val=Y_VAL)
    found = net().fit(*given, X_val=held)
    assert found.history_["val_error"] == pytest.approx(expected.history_["val_error"], rel=1e-5)
    measured = evaluate(found, held)
    assert measured.error == pytest.approx(expected.history_["val_error"][-1], rel=1e-5)
    assert found.feature_names_in_.tolist() == NAMES
    again = evaluate(found, array_source(X_VAL, Y_VAL))  # has no names
    assert again.error == pytest.approx(measured.error)


def test_inputs_of_other_names_are_told(tmp_path, capsys):
    train, other = write_csv(tmp_path / "t.csv"), tmp_path / "o.csv"
    write_csv(other, X_VAL, Y_VAL, ["a", "b", "c", "d", "z"])
    trained = net().fit(open_source(train))
    says = r"o\.csv: its columns of inputs must be 'a', 'b', 'c', 'd', 'e'; it lacks 'e' and has 'z'"
    with pytest.raises(DataFileError, match=says):
        evaluate(trained, open_source(other))
    with pytest.raises(DataFileError, match=says):
        net().fit(open_source(train), X_val=open_source(other))
    trained.save(tmp_path / "m")
    command = ["train", "--data", str(train), "--out", str(tmp_path / "n"), "--epochs", "1"]
    for arguments in (
        ["evaluate", str(tmp_path / "m"), "--data", str(other)],
        [*command, "--test", str(other)],
        [*command, "--validation-data", str(other)],
    ):
        assert main(arguments) == 2
        assert re.search(says, capsys.readouterr().err)
    assert not (tmp_path / "n").exists()  # it is told before the training


def test_columns_in_another_order_on_the_command_line(tmp_path, capsys):
    train, test = write_csv(tmp_path / "t.csv"), reordered(tmp_path / "v.csv")
    plain = write_csv(tmp_path / "p.csv", X_VAL, Y_VAL)
    model = str(tmp_path / "m")
    command = ["train", "--data", str(train), "--hidden", "4", "--epochs", "9", "--out", model, "--json"]
    reports = []
    for path in (plain, test):
        assert main([*command, "--test", str(path), "--validation-data", str(path)]) == 0
        reports.append(json.loads(capsys.readouterr().out))
        assert main(["evaluate", model, "--data", str(path), "--json"]) == 0
        assert json.loads(capsys.readouterr().out)["error"] == pytest.approx(reports[0]["test_error"])
    assert reports[1]["test_error"] == pytest.approx(reports[0]["test_error"])
    assert reports[1]["history"]["val_error"] == pytest.approx(reports[0]["history"]["val_error"])


def test_a_training_on_arrays_forgets_the_names_of_the_one_before(tmp_path):
    trained = ThetaNetClassifier(hidden=3, epochs=1).fit(open_source(write_csv(tmp_path / "t.csv")))
    assert trained.feature_names_in_.tolist() == NAMES
    trained.fit(X, Y)
    assert not hasattr(trained, "feature_names_in_")
