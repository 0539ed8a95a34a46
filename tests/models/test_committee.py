"""Several networks as one, and the model in the package."""

import json
from functools import partial

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from thetanet import Theta, ThetaNetClassifier, cli, forward, load_mnist, load_pretrained
from thetanet.errors import InputError
from thetanet.evaluation.robustness import affine
from thetanet.models.committee import compose_with, merge_models
from thetanet.models.model_file import Model, load_model, save_model
from thetanet.models.pretrained import load_pretrained_model


@settings(deadline=None, max_examples=60)
@given(widths=st.lists(st.integers(1, 40), min_size=1, max_size=12), seed=st.integers(0, 2**32 - 1))
def test_a_merged_network_is_the_mean_of_the_pre_activations(widths, seed):
    rng = np.random.default_rng(seed)
    D_I, D_O = int(rng.integers(1, 12)), int(rng.integers(1, 6))
    thetas = [Theta.random(D_I, D_H, D_O, seed=int(rng.integers(2**31))) for D_H in widths]
    for theta in thetas:
        theta.flat[...] += rng.standard_normal(theta.flat.size)
    X = rng.normal(0, 3, (D_I, 17))
    merged = Theta.merge(thetas)
    assert merged.shape == (D_I, sum(widths), D_O)
    mean = np.mean([forward(theta, X).A2 for theta in thetas], axis=0)
    assert np.abs(forward(merged, X).A2 - mean).max() <= 1e-12 * max(1, np.abs(mean).max())


def test_merged_models_keep_what_they_agree_on_and_refuse_the_rest():
    thetas = [Theta.random(4, 3, 2, seed=seed) for seed in range(2)]
    names = ["a", "b", "c", "d"]
    models = [Model(t, np.array(["x", "y"]), feature_names=names, training={"seed": 1}) for t in thetas]
    merged = merge_models(models)
    assert merged.theta == Theta.merge(thetas)
    assert merged.classes.tolist() == ["x", "y"]
    assert merged.feature_names == names
    assert merged.training == {"merged": [{"seed": 1}, {"seed": 1}]}
    for change, message in (
        ({"classes": np.array(["x", "z"])}, "different labels"),
        ({"feature_names": names[::-1]}, "names or the scaling"),
        ({"multilabel": True}, "different labels"),
    ):
        other = Model(**{"theta": thetas[1], "classes": models[0].classes, "feature_names": names} | change)
        with pytest.raises(InputError, match=message):
            merge_models([models[0], other])
    with pytest.raises(InputError, match="at least one model"):
        merge_models([])
    with pytest.raises(InputError, match=r"\(D_I, D_O\)"):
        merge_models([Model(Theta.random(D_I, 3, 2), models[0].classes) for D_I in (4, 5)])


@pytest.mark.parametrize("options", [{"angle": 8}, {"factor": 1.1}, {"shift": (0.5, -1)}])
def test_a_composed_network_is_the_network_of_the_transformed_image(options):
    theta = Theta.random(144, 7, 3, seed=2)
    X = np.random.default_rng(0).uniform(0, 1, (20, 12, 12))
    change = partial(affine, **options)
    seen = forward(compose_with(theta, change, (12, 12)), X.reshape(20, -1).T).A2
    assert seen == pytest.approx(forward(theta, change(X).reshape(20, -1).T).A2, abs=1e-5)
    both = Theta.merge([theta, compose_with(theta, change, (12, 12))])
    mean = (seen + forward(theta, X.reshape(20, -1).T).A2) / 2
    assert np.abs(forward(both, X.reshape(20, -1).T).A2 - mean).max() < 1e-9


def test_transforms_that_are_not_linear_or_of_another_shape_are_refused():
    theta = Theta.random(144, 7, 3)
    with pytest.raises(InputError, match="not linear"):
        compose_with(theta, np.sqrt, (12, 12))
    with pytest.raises(InputError, match="D_I=144"):
        compose_with(theta, np.sqrt, (12, 11))


def test_merge_on_the_command_line(tmp_path, capsys):
    rng = np.random.default_rng(0)
    X, y = rng.integers(256, size=(60, 9)).astype(np.uint8), rng.integers(3, size=60)
    nets = [ThetaNetClassifier(hidden=4 + k, epochs=2, random_state=k).fit(X, y) for k in range(3)]
    for k, net in enumerate(nets):
        net.save(tmp_path / f"{k}.model")
    files = [str(tmp_path / f"{k}.model") for k in range(3)]
    assert cli.main(["merge", *files, "--out", str(tmp_path / "all.model"), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["members"], found["D_H"]) == (3, 15)
    merged = ThetaNetClassifier.load(tmp_path / "all.model")
    mean = np.mean([net.decision_function(X) for net in nets], axis=0)
    assert merged.decision_function(X) == pytest.approx(mean, abs=1e-5)
    assert cli.main(["merge", str(tmp_path / "nothing.model")]) == 2
    assert "nothing.model" in capsys.readouterr().err


def test_a_float16_file_is_half_as_large_and_answers_the_same(tmp_path):
    X, y = load_mnist()[:2]
    net = ThetaNetClassifier(hidden=30, epochs=1, random_state=0).fit(X[:5000], y[:5000])
    net.save(tmp_path / "32"), net.save(tmp_path / "16", dtype="float16")
    sizes = [(tmp_path / name).stat().st_size for name in ("32", "16")]
    assert sizes[1] < 0.55 * sizes[0]
    half = ThetaNetClassifier.load(tmp_path / "16")
    assert half.theta_.dtype == np.float32
    assert np.abs(half.outputs(X[:1000]) - net.outputs(X[:1000])).max() < 0.01


# --- the model in the package -----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def shipped():
    return load_pretrained("mnist")


def test_the_model_in_the_package_is_small_and_good(shipped, tmp_path):
    save_model(tmp_path / "again", load_pretrained_model(), "float16")
    assert (tmp_path / "again").stat().st_size < 3_000_000
    _, _, X, y = load_mnist()
    assert shipped.theta_.dtype == np.float32
    assert np.sum(shipped.predict(X) != y) <= 60


def test_the_model_in_the_package_has_its_card(shipped):
    from importlib import resources

    card = (resources.files("thetanet.models.pretrained") / "mnist.md").read_text()
    _, _, X, y = load_mnist()
    assert f"{100 * np.mean(shipped.predict(X) != y):.2f}%" in card
    for heading in ("## Data", "## Recipe", "## Figures", "## Limits", "## Made by"):
        assert heading in card


def test_there_is_no_other_model():
    with pytest.raises(InputError, match="name='imagenet': there is mnist"):
        load_pretrained("imagenet")


def test_the_shipped_file_is_read_like_any_other(tmp_path):
    from importlib import resources

    with resources.as_file(resources.files("thetanet.models.pretrained") / "mnist.safetensors") as path:
        assert load_model(path).theta == load_pretrained_model().theta
