"""The estimator as people use it: odd inputs, frames, sparse, pipelines, and what it must refuse."""

import io
import pickle
import warnings

import joblib
import numpy as np
import pandas as pd
import polars as pl
import pytest
from safetensors.numpy import load_file
from scipy import sparse
from sklearn.base import clone
from sklearn.datasets import load_digits, load_iris
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler

from thetanet import Adam, CPUEngine, Theta, ThetaNetClassifier, forward


def net(**options):
    return ThetaNetClassifier(**{"hidden": 20, "random_state": 0, **options})


@pytest.fixture(scope="module")
def digits():
    X, y = load_digits(return_X_y=True)
    return X.astype(np.uint8), y


@pytest.fixture(scope="module")
def iris():
    return load_iris(return_X_y=True)


def test_learns_digits(digits):
    X, y = digits
    assert cross_val_score(net(hidden=60), X, y, cv=3).mean() > 0.93


def test_learns_xor():
    X, y = [[0, 0], [0, 1], [1, 0], [1, 1]], [0, 1, 1, 0]
    assert net().fit(X, y).score(X, y) == 1


@pytest.mark.parametrize(
    "labels",
    [["no", "yes"], [False, True], [-1, 1], [1.0, 2.0], ["a", "b", "c"], [3, 7, 11], [-1.0, 0.0, 2.0]],
)
def test_labels_of_any_kind_come_back_as_they_were(labels):
    y = np.array(labels)[np.arange(60) % len(labels)]
    X = (np.arange(60) % len(labels))[:, None] + np.random.default_rng(0).normal(scale=0.01, size=(60, 2))
    fitted = net().fit(X, y)
    assert np.array_equal(fitted.classes_, np.unique(y))
    predicted = fitted.predict(X)
    assert predicted.dtype == y.dtype
    assert np.array_equal(predicted, y)
    assert fitted.outputs(X).shape == (60, 1 if len(labels) == 2 else len(labels))


def test_probabilities_are_the_outputs_shared_out(iris):
    X, y = iris
    fitted = net().fit(X, y)
    Y = fitted.outputs(X)
    P = fitted.predict_proba(X)
    np.testing.assert_allclose(P, Y / Y.sum(axis=1, keepdims=True), rtol=1e-6)
    np.testing.assert_allclose(P.sum(axis=1), 1)
    np.testing.assert_allclose(Y, 1 / (1 + np.exp(-fitted.decision_function(X))), rtol=1e-6)
    two = net().fit(X[:100], y[:100])
    np.testing.assert_allclose(two.predict_proba(X)[:, 1], two.outputs(X)[:, 0], rtol=1e-6)
    assert two.decision_function(X).shape == (150,)


def test_probabilities_are_numbers_where_every_output_is_tiny(iris):
    fitted = net().fit(*iris)
    fitted.theta_.b2[...] -= 1e4
    with np.errstate(all="raise", under="ignore"):
        P = fitted.predict_proba(iris[0])
    np.testing.assert_allclose(P.sum(axis=1), 1)


def test_the_outputs_are_those_of_the_network_on_raw_inputs(iris, digits):
    for X, y in (iris, digits, (iris[0] * 1e5 + 1e7, iris[1])):
        fitted = net(epochs=3).fit(X, y)
        expected = forward(fitted.theta_, X.T)
        np.testing.assert_allclose(fitted.outputs(X), expected.Y.T, rtol=1e-4, atol=1e-6)
        np.testing.assert_allclose(fitted.transform(X), expected.Z.T, rtol=1e-4, atol=1e-6)


def test_a_saved_network_takes_raw_pixels(digits, tmp_path):
    X, y = digits
    fitted = net().fit(X, y)
    fitted.save(tmp_path / "model.safetensors")
    tensors = load_file(tmp_path / "model.safetensors")
    one, two = tensors["Theta1"], tensors["Theta2"]
    Z = 1 / (1 + np.exp(-(X @ one[1:] + one[0])))
    Y = 1 / (1 + np.exp(-(Z @ two[1:] + two[0])))
    np.testing.assert_allclose(Y, fitted.outputs(X), atol=1e-5)


@pytest.mark.parametrize("kind", ["classes", "binary", "texts", "multilabel", "frame"])
def test_a_loaded_network_predicts_like_the_one_that_was_saved(iris, tmp_path, kind):
    X, y = iris
    if kind == "binary":
        y = y == 1
    if kind == "texts":
        y = np.array(["setosa", "versicolor", "вид"])[y]
    if kind == "multilabel":
        y = np.eye(3, dtype=int)[y]
    if kind == "frame":
        X = pd.DataFrame(X, columns=list("abcd"))
    fitted = net(epochs=5).fit(X, y)
    fitted.save(tmp_path / "m")
    loaded = ThetaNetClassifier.load(tmp_path / "m")
    assert loaded.theta_ == fitted.theta_
    assert np.array_equal(loaded.predict(X), fitted.predict(X))
    assert np.array_equal(loaded.predict_proba(X), fitted.predict_proba(X))
    assert loaded.predict(X).dtype == fitted.predict(X).dtype
    if kind == "frame":
        with pytest.raises(ValueError, match="feature names should match"):
            loaded.predict(X[list("dcba")])


def several_labels(M, D_I, D_O):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(M, D_I))
    return X, (X @ rng.normal(size=(D_I, D_O)) > 0).astype(int)


def test_multilabel():
    X, L = several_labels(400, 12, 4)
    fitted = net(epochs=60).fit(X, L)
    P = fitted.predict_proba(X)
    assert P.shape == (400, 4)
    np.testing.assert_allclose(P, fitted.outputs(X), rtol=1e-6)
    assert np.array_equal(fitted.predict(X), (P > 0.5).astype(int))
    assert (fitted.predict(X) == L).mean() > 0.97
    again = net(epochs=60).fit(X, sparse.csr_array(L))
    assert again.theta_ == fitted.theta_


@pytest.mark.parametrize("kind", [sparse.csr_array, sparse.csc_matrix, sparse.coo_array])
def test_sparse_is_learnt_as_dense_is(kind):
    rng = np.random.default_rng(0)
    X = sparse.csr_array(rng.random((200, 30)) * (rng.random((200, 30)) < 0.1))
    y = np.asarray(X.sum(axis=1)).ravel() > 1.5
    fitted = net(epochs=20).fit(kind(X), y)
    dense = net(epochs=20, scaling="maximum").fit(X.toarray(), y)
    np.testing.assert_allclose(fitted.theta_.flat, dense.theta_.flat, rtol=1e-3, atol=1e-3)
    np.testing.assert_allclose(fitted.outputs(kind(X)), fitted.outputs(X.toarray()), rtol=1e-6)


@pytest.mark.parametrize("frame", [pd.DataFrame, lambda X, columns: pl.DataFrame(X, schema=columns)])
def test_frames_bring_names(iris, frame):
    X, y = iris
    fitted = net(epochs=2).fit(frame(X, columns=["sl", "sw", "pl", "pw"]), pd.Series(y))
    assert fitted.feature_names_in_.tolist() == ["sl", "sw", "pl", "pw"]
    assert fitted.get_feature_names_out()[:2].tolist() == ["thetanetclassifier0", "thetanetclassifier1"]
    assert fitted.predict(frame(X, columns=["sl", "sw", "pl", "pw"])).shape == (150,)
    with pytest.raises(ValueError, match="feature names should match"):
        fitted.predict(frame(X, columns=["sw", "sl", "pl", "pw"]))


def test_hidden_activations_as_a_frame(iris):
    X, y = iris
    fitted = net(hidden=5, epochs=2).set_output(transform="pandas").fit(X, y)
    assert fitted.transform(X).columns.tolist() == [f"thetanetclassifier{i}" for i in range(5)]


def test_lives_in_pipelines_searches_and_files(iris):
    X, y = iris
    search = GridSearchCV(
        make_pipeline(MinMaxScaler(), net()), {"thetanetclassifier__hidden": [2, 10]}, cv=2, n_jobs=2
    )
    search.fit(X, y)
    assert search.best_score_ > 0.85
    twin = pickle.loads(pickle.dumps(search.best_estimator_))
    buffer = io.BytesIO()
    joblib.dump(twin, buffer)
    buffer.seek(0)
    assert np.array_equal(joblib.load(buffer).predict(X), search.predict(X))
    assert clone(net(descent=Adam(learning_rate=0.1), engine=CPUEngine("float64"))).descent == Adam(
        learning_rate=0.1
    )


def test_the_same_seed_gives_the_same_bits(iris):
    X, y = iris
    assert net().fit(X, y).theta_ == net().fit(X, y).theta_
    assert net().fit(X, y).theta_ != net(random_state=1).fit(X, y).theta_
    fitted = net().fit(X[50:], y[50:])
    assert fitted.fit(X, y).theta_ == net().fit(X, y).theta_  # fit forgets what was before


def test_floating_point_types(iris, digits):
    X, y = iris
    assert net(epochs=1).fit(X, y).theta_.dtype == np.float64
    assert net(epochs=1).fit(X.astype(np.float32), y).theta_.dtype == np.float32
    assert net(epochs=1).fit(*digits).theta_.dtype == np.float32
    assert net(epochs=1, engine=CPUEngine("float64")).fit(*digits).theta_.dtype == np.float64


def test_large_offsets_do_not_drown_small_differences(iris):
    X, y = iris
    fitted = net().fit(X + 1e7, y)
    assert fitted.score(X + 1e7, y) == net().fit(X, y).score(X, y)


def test_inputs_that_were_never_lit_do_not_matter(digits):
    X, y = digits
    X = X.copy()
    X[:, 5] = 0
    fitted = net(epochs=3).fit(X, y)
    assert np.isfinite(fitted.theta_.flat).all()


def test_history_and_validation(iris):
    X, y = iris
    fitted = net(epochs=12).fit(X[::2], y[::2], X_val=X[1::2], y_val=y[1::2])
    frame = pd.DataFrame(fitted.history_)
    assert frame.shape == (12, 9)
    assert frame.epoch.tolist() == list(range(1, 13))
    assert frame.val_accuracy.iloc[-1] == pytest.approx(fitted.score(X[1::2], y[1::2]))
    measure = fitted.measure(X[1::2], y[1::2])
    assert frame.val_error.iloc[-1] == pytest.approx(measure.error / 75, rel=1e-4)
    assert measure.correct / measure.weight == pytest.approx(fitted.score(X[1::2], y[1::2]))


def test_training_as_a_generator(iris):
    X, y = iris
    network = net(epochs=50)
    scores = []
    for record in network.iter_fit(X, y):
        scores.append(network.score(X, y))  # usable after every epoch
        if record.accuracy > 0.9:
            break
    assert len(scores) < 50
    assert len(network.history_["epoch"]) == len(scores)
    assert network.score(X, y) == scores[-1]


def test_partial_fit_learns_from_a_stream(digits):
    X, y = digits
    network = net(hidden=40)
    for _ in range(20):
        for low in range(0, 1500, 300):
            network.partial_fit(X[low : low + 300], y[low : low + 300], classes=range(10))
    assert network.score(X[1500:], y[1500:]) > 0.85
    assert network.history_["samples"][-1] == 20 * 1500
    with pytest.raises(ValueError, match=r"classes=.* differ from those of the first call"):
        network.partial_fit(X, y, classes=range(11))
    with pytest.raises(ValueError, match=r"y contains .*12.*not among the classes"):
        network.partial_fit(X[:2], [1, 12])


def test_partial_fit_of_any_size_and_after_a_pickle(digits):
    X, y = digits
    network = net().partial_fit(X[:100], y[:100], classes=range(10))
    twin = pickle.loads(pickle.dumps(network))
    for size in (1, 7, 500):
        network.partial_fit(X[:size], y[:size])
        twin.partial_fit(X[:size], y[:size])
    assert twin.theta_ == network.theta_


def test_partial_fit_of_several_labels():
    X, L = several_labels(100, 5, 3)
    network = net()
    for _ in range(40):
        network.partial_fit(X, L)
    assert (network.predict(X) == L).mean() > 0.95


def test_partial_fit_is_not_offered_for_whole_passes():
    assert not hasattr(net(descent="gd"), "partial_fit")
    assert hasattr(net(), "partial_fit")


def test_one_sample_is_enough_to_predict(iris):
    fitted = net(epochs=1).fit(*iris)
    np.testing.assert_allclose(fitted.outputs(iris[0][:1])[0], fitted.outputs(iris[0])[0], rtol=1e-6)


def test_a_merged_committee_can_be_used(iris):
    X, y = iris
    members = [net(random_state=seed).fit(X, y) for seed in range(3)]
    committee = members[0]
    mean = np.mean([m.decision_function(X) for m in members], axis=0)
    committee.theta_ = Theta.merge([m.theta_ for m in members])
    np.testing.assert_allclose(committee.decision_function(X), mean, rtol=1e-6, atol=1e-6)


def test_verbose_shows_a_line_an_epoch(iris, capsys):
    net(epochs=3, verbose=True).fit(*iris)
    shown = capsys.readouterr().err
    assert shown.count("accuracy") == 3


X, Y = np.arange(20.0).reshape(10, 2), np.arange(10) % 2


def with_entry(value):
    changed = X.copy()
    changed[3, 1] = value
    return changed


@pytest.mark.parametrize(
    ("X", "y", "message"),
    [
        (with_entry(np.nan), Y, "Input X contains NaN"),
        (with_entry(np.inf), Y, "Input X contains infinity"),
        (X, np.where(Y, np.nan, 0.0), "Input y contains NaN"),
        (X, Y * 0, r"y has only one class \(\[0\]\); a classifier needs samples of at least two"),
        (X[:0], Y[:0], r"0 sample\(s\).*X is empty: give at least one row"),
        (X[:, :0], Y, r"0 feature\(s\)"),
        (X.reshape(5, 2, 2), Y[:5], r"dim 3.*X\.reshape\(len\(X\), -1\)"),
        (X[:, 0], Y, "Expected 2D array, got 1D array"),
        (X, Y[:5], "inconsistent numbers of samples"),
        (X, Y + 0.5 * np.arange(10), "Unknown label type: continuous"),
        (X, None, "requires y to be passed, but the target y is None"),
        (X.astype(complex), Y, "Complex data not supported"),
        (np.full((10, 2), "a", object), Y, "could not convert string"),
    ],
)
def test_refuses_before_any_work(X, y, message):
    network = net()
    with pytest.raises(ValueError, match=message):
        network.fit(X, y)
    assert not hasattr(network, "theta_")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"hidden": 0}, "hidden=0: must be a whole number at least 1"),
        ({"hidden": 2.5}, "hidden=2.5: must be a whole number"),
        ({"hidden": True}, "hidden=True"),
        ({"epochs": 0}, "epochs=0"),
        ({"epochs": "many"}, "epochs='many'"),
        ({"batch_size": -1}, "batch_size=-1"),
        ({"alpha": -0.1}, "alpha=-0.1: must be a number at least 0"),
        ({"alpha": np.nan}, "alpha=nan"),
        ({"descent": "adamw2"}, "descent='adamw2': must be one of auto"),
        ({"scaling": "minmax"}, "scaling='minmax': must be one of auto"),
    ],
)
def test_parameters_are_checked_when_fitting(options, message):
    with pytest.raises(ValueError, match=message):
        net(**options).fit(X, Y)


def test_errors_after_fitting(iris):
    with pytest.raises(NotFittedError):
        net().predict(X)
    fitted = net(epochs=1).fit(*iris)
    with pytest.raises(
        ValueError, match=r"X has 2 features, but ThetaNetClassifier is expecting 4.*same columns"
    ):
        fitted.predict(X)
    with pytest.raises(ValueError, match="X_val and y_val: give both or neither"):
        net().fit(X, Y, X_val=X)
    with pytest.raises(ValueError, match=r"y contains .* not among the classes"):
        net().fit(X, Y, X_val=X, y_val=Y + 1)


@pytest.mark.parametrize("size", [1e-200, 1e-6, 1e6, 1e100])
@pytest.mark.parametrize("kind", [np.asarray, sparse.csr_array])
def test_inputs_of_any_size(size, kind):
    X = np.random.default_rng(0).random((60, 4)) * (np.random.default_rng(1).random((60, 4)) < 0.5)
    y = X[:, 0] > 0.3
    fitted = net(epochs=60).fit(kind(X * size), y)
    assert fitted.score(kind(X * size), y) > 0.9


def test_no_warning_on_clean_data(iris):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        net().fit(*iris).predict_proba(iris[0] * 1e6)
