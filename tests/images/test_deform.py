"""Deformations have the statistics that are asked for, and training sees new images in each epoch."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from scipy import stats
from scipy.sparse import csr_matrix
from sklearn.datasets import load_digits

from thetanet import Deform, DivergedError, ThetaNetClassifier, load_mnist, recipe
from thetanet.errors import InputError
from thetanet.images.deform import compute_elastic_basis, warp

NOTHING = Deform(rotate=0, scale=0, shear=0, shift=0, elastic=0, pen=0)
SIDE = 64


@pytest.fixture(scope="module")
def digits():
    return load_mnist()[0][:3000]


def places(deform, n, seed=0, side=SIDE):
    """Where each pixel of n deformed images looks, (n, 2, side, side): bilinear looks at a ramp say so.

    True in the middle: the ramps have a frame of paper, so that no ink comes near the edge.
    """
    ramps = np.pad(np.mgrid[8 : side - 8, 8 : side - 8].astype(np.float64), [(0, 0), (8, 8), (8, 8)])
    return np.stack([deform(np.repeat(ramp[None], n, axis=0), seed=seed) for ramp in ramps], axis=1)


def moved(deform, n, seed=0):
    """The displacements in the middle of the images, from where none looks beyond the frame."""
    still = np.mgrid[:SIDE, :SIDE]
    return (places(deform, n, seed) - still)[:, :, 16:-16, 16:-16]


@pytest.mark.parametrize("dtype", [np.uint8, np.float32, np.float64])
@pytest.mark.parametrize("shape", [(28, 28), (8, 8), (5, 9), (1, 1)])
def test_strength_zero_is_the_identity_exactly(dtype, shape):
    X = np.random.default_rng(0).integers(256, size=(700, *shape)).astype(dtype)
    if dtype != np.uint8:
        X = (X / 255).astype(np.float32).astype(dtype)  # images are looked at in float32
    assert (Deform()(X, strength=0) == X).all()
    assert (Deform(shape=shape)(X.reshape(700, -1), strength=0, seed=5) == X.reshape(700, -1)).all()


def test_the_same_seed_gives_the_same_bits_on_any_number_of_threads(digits):
    one = Deform()(digits, seed=3, threads=1)
    for threads in (2, 3, 8, None):
        assert (Deform()(digits, seed=3, threads=threads) == one).all()
    assert (Deform()(digits, seed=4) != one).any(axis=1).all()


def test_images_of_one_call_are_deformed_each_in_its_own_way(digits):
    new = Deform()(np.repeat(digits[:1], 1000, axis=0))
    assert len(np.unique(new, axis=0)) == 1000


@pytest.mark.parametrize(("alpha", "sigma"), [(34.0, 4.0), (20.0, 3.0)])
def test_elastic_displacements_are_simards(alpha, sigma):
    """Against his own way: uniform noise in [-1, 1], smoothed by a Gaussian, times alpha."""
    expected = alpha / (2 * sigma * np.sqrt(3 * np.pi))
    u = moved(replace(NOTHING, elastic=expected / SIDE, smooth=sigma / SIDE), 3000)
    assert u.std(axis=(0, 2, 3)) == pytest.approx(expected, rel=0.03)
    length = np.hypot(u[:, 0], u[:, 1])
    assert length.mean() == pytest.approx(expected * np.sqrt(np.pi / 2), rel=0.03)
    assert u.mean() == pytest.approx(0, abs=0.05 * expected)
    assert abs(np.corrcoef(u[:, 0, 5, 5], u[:, 1, 5, 5])[0, 1]) < 0.08  # both sides on their own

    from scipy.ndimage import gaussian_filter

    noise = np.random.default_rng(0).uniform(-1, 1, (300, SIDE, SIDE))
    his = alpha * gaussian_filter(noise, (0, sigma, sigma))[:, 16:-16, 16:-16]
    assert his.std() == pytest.approx(u.std(), rel=0.05)
    for d in (1, 3, 6, 12):
        ours = np.mean(u[:, :, :, :-d] * u[:, :, :, d:]) / u.var()
        down = np.mean(u[:, :, :-d] * u[:, :, d:]) / u.var()
        assert ours == pytest.approx(np.exp(-(d**2) / (4 * sigma**2)), abs=0.03)
        assert down == pytest.approx(ours, abs=0.03)
        assert np.mean(his[:, :, :-d] * his[:, :, d:]) / his.var() == pytest.approx(ours, abs=0.05)


def jacobians(deform, n):
    """The linear part of each map, by differences: (n, 2, 2)."""
    p = places(deform, n)
    middle = SIDE // 2
    down = p[:, :, middle + 1, middle] - p[:, :, middle, middle]
    right = p[:, :, middle, middle + 1] - p[:, :, middle, middle]
    return np.stack([down, right], axis=2)


def is_uniform(values, most):
    return stats.kstest(values, stats.uniform(-most, 2 * most).cdf).pvalue > 0.001


def test_angles_scales_shears_and_shifts_are_uniform_within_their_limits():
    J = jacobians(replace(NOTHING, rotate=20), 2000)
    assert is_uniform(np.degrees(np.arctan2(J[:, 0, 1], J[:, 0, 0])), 20)
    assert np.linalg.det(J) == pytest.approx(1, abs=1e-4)
    J = jacobians(replace(NOTHING, scale=0.2), 2000)
    assert is_uniform(np.log(J[:, 0, 0]), 0.2)
    assert is_uniform(np.log(J[:, 1, 1]), 0.2)
    assert abs(np.corrcoef(J[:, 0, 0], J[:, 1, 1])[0, 1]) < 0.08
    J = jacobians(replace(NOTHING, shear=0.3), 2000)
    assert is_uniform(J[:, 1, 0], 0.3)
    assert J[:, 0, 1] == pytest.approx(0)
    u = moved(replace(NOTHING, shift=0.1), 2000)[:, :, 0, 0]
    assert is_uniform(u[:, 0], 0.1 * SIDE)
    assert is_uniform(u[:, 1], 0.1 * SIDE)


def test_the_pen_makes_edges_wider_or_narrower_and_leaves_paper_and_ink():
    grey = np.full((3000, 5, 5), 0.5)
    grey[:, 0], grey[:, 4] = 0, 1
    new = replace(NOTHING, pen=0.8)(grey)
    assert (new[:, 0] == 0).all()
    assert (new[:, 4] == 1).all()
    assert is_uniform((new[:, 2, 2] - 0.5) / 0.25, 0.8)
    ramp = np.repeat(np.arange(256, dtype=np.uint8)[None], 500, axis=0)
    curves = replace(NOTHING, pen=1, shape=(1, 256))(ramp).astype(int)
    assert (np.diff(curves, axis=1) >= 0).all()  # darker stays darker
    assert curves[:, 128].min() < 80
    assert curves[:, 128].max() > 170


def test_half_the_strength_is_half_the_displacement():
    class Half(Deform):
        def __call__(self, X, **options):
            return super().__call__(X, **options, strength=0.5)

    settings = {"elastic": 0.03, "shift": 0.02}
    full, half = (
        moved(replace(NOTHING, **settings), 50),
        moved(replace(Half(**vars(NOTHING)), **settings), 50),
    )
    assert full.std() > 1
    assert half == pytest.approx(full / 2, abs=1e-4)


@pytest.mark.parametrize("deform", [recipe("standard")["deform"], recipe("record")["deform"]])
def test_recipes_keep_the_ink_in_the_frame(deform):
    """In 99% of the images at most 1% of the ink leaves: compared with a frame that has room for all."""
    X = load_mnist()[0][::6].reshape(-1, 28, 28)
    used = {}

    def draw(n, first):  # what does not fit is weakened in place
        used[first] = deform.draw(n, (28, 28), np.random.Generator(np.random.SFC64([7, first])))
        return used[first]

    def ink(images):
        return images.sum(axis=(1, 2), dtype=np.float64)

    field = compute_elastic_basis(28, deform.smooth)  # with a margin of 4 pixels; it goes on beyond
    wide = np.pad(field, [(10, 10), (0, 0)], mode="edge")
    kept = warp(X, (28, 28), draw, (field, field))
    assert (kept == deform(X, seed=7)).all()
    everything = warp(
        np.pad(X, [(0, 0), (14, 14), (14, 14)]), (56, 56), lambda n, first: used[first], (wide, wide)
    )
    assert np.quantile(ink(kept) / ink(everything), 0.01) >= 0.99
    cut = everything[:, 14:-14, 14:-14]
    assert np.quantile(ink(cut) / ink(everything), 0.01) < 0.97  # so there was something to keep


def test_inputs_that_are_no_images_are_refused():
    with pytest.raises(InputError, match=r"images of shape \(n, n\): give Deform\(shape"):
        Deform()(np.zeros((3, 12), np.uint8))
    with pytest.raises(InputError, match=r"images of shape \(3, 5\)"):
        Deform(shape=(3, 5))(np.zeros((3, 12), np.uint8))
    assert Deform(shape=(3, 4))(np.zeros((3, 12), np.uint8)).shape == (3, 12)
    with pytest.raises(InputError, match="X has dtype int64"):
        Deform()(np.zeros((3, 4, 4), np.int64))
    for name, value in (("rotate", -1), ("anneal", 1.5), ("elastic", "much"), ("smooth", np.nan)):
        with pytest.raises(InputError, match=name):
            Deform(**{name: value})
    assert Deform()(np.zeros((0, 16), np.uint8)).shape == (0, 16)


# --- training ---------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def eights():
    X, y = load_digits(return_X_y=True)
    return X[:1200].astype(np.uint8), y[:1200], X[1200:].astype(np.uint8), y[1200:]


def test_deformed_training_makes_fewer_mistakes(eights):
    X, y, X_test, y_test = eights
    plain = ThetaNetClassifier(hidden=64, random_state=0).fit(X, y)
    deformed = ThetaNetClassifier(hidden=64, random_state=0, deform=Deform()).fit(X, y)
    assert deformed.score(X_test, y_test) > plain.score(X_test, y_test) + 0.005


def test_the_strength_falls_and_every_epoch_has_new_images(eights, monkeypatch):
    seen = []
    original = Deform.__call__

    def watched(self, X, **options):
        seen.append((options["strength"], original(self, X, **options)))
        return seen[-1][1]

    monkeypatch.setattr(Deform, "__call__", watched)
    X, y = eights[:2]
    ThetaNetClassifier(hidden=8, epochs=5, deform=Deform(anneal=0.5), random_state=0).fit(X, y)
    assert [strength for strength, _ in seen] == pytest.approx([1.0, 0.9, 0.8, 0.7, 0.6])
    sums = [np.sort(images.sum(axis=1)) for _, images in seen]
    assert all((a != b).any() for a, b in pairwise(sums))
    assert all(len(images) == len(X) for _, images in seen)


def test_a_resumed_training_sees_the_same_images(eights, tmp_path):
    X, y = eights[:2]
    settings = {"hidden": 12, "epochs": 6, "deform": Deform(), "random_state": 1}
    whole = ThetaNetClassifier(**settings).fit(X, y)
    stopped = ThetaNetClassifier(**settings, on_epoch=lambda record: record.epoch == 3)
    stopped.fit(X, y, checkpoint=tmp_path)
    again = ThetaNetClassifier(**settings).fit(X, y, checkpoint=tmp_path, resume=True)
    assert again.theta_ == whole.theta_
    other = ThetaNetClassifier(**settings | {"deform": Deform(rotate=1)})
    with pytest.raises(InputError):
        other.fit(X, y, checkpoint=tmp_path, resume=True)


def test_what_does_not_go_with_deformations_is_refused(eights):
    X, y = eights[:2]
    for settings, data, message in (
        ({"descent": "lbfgs"}, X, "mini-batch rule"),
        ({"deform": True}, X, r"must be a Deform\(\.\.\.\)"),
        ({}, csr_matrix(X), "X is sparse"),
        ({}, X[:, :60], "must be the pixels of images"),
    ):
        with pytest.raises(InputError, match=message):
            ThetaNetClassifier(**{"deform": Deform(), "epochs": 1} | settings).fit(data, y)


def test_partial_fit_deforms_too(eights):
    X, y = eights[:2]
    nets = [
        ThetaNetClassifier(hidden=8, random_state=0, deform=d).partial_fit(X, y) for d in (None, Deform())
    ]
    assert nets[0].theta_ != nets[1].theta_


# --- a teacher --------------------------------------------------------------------------------------------


def test_a_student_learns_what_its_teacher_says(eights):
    X, y, X_test, y_test = eights
    teacher = ThetaNetClassifier(hidden=64, random_state=0, deform=Deform()).fit(X, y)
    wrong = (y + 1) % 10  # a student that listened to its labels would be wrong everywhere
    student = ThetaNetClassifier(hidden=48, epochs=60, random_state=1, deform=Deform(), teacher=teacher)
    student.fit(X, wrong)
    assert student.score(X_test, y_test) > 0.9
    agree = student.predict(X_test) == teacher.predict(X_test)
    assert agree.mean() > 0.93


def test_a_teacher_without_deformations_is_fit_targets(eights):
    X, y = eights[:2]
    teacher = ThetaNetClassifier(hidden=20, epochs=3, random_state=0).fit(X, y)
    settings = {"hidden": 10, "epochs": 3, "random_state": 2}
    student = ThetaNetClassifier(**settings, teacher=teacher).fit(X, y)
    asked = ThetaNetClassifier(**settings, teacher=teacher.outputs).fit(X, y)
    assert student.theta_ == asked.theta_
    shares = teacher.predict_proba(X)
    same = ThetaNetClassifier(**settings, teacher=teacher.predict_proba).fit(X, y)
    assert np.allclose(
        same.theta_.flat, ThetaNetClassifier(**settings).fit_targets(X, shares).theta_.flat, atol=1e-3
    )


def test_teachers_that_do_not_fit_are_refused(eights):
    X, y = eights[:2]
    few = ThetaNetClassifier(hidden=4, epochs=1).fit(X[y < 3], y[y < 3])
    for teacher, message in (
        (ThetaNetClassifier(), r"not fitted: .* teacher=net\.outputs"),
        (few, r"teacher knows the classes \[0, 1, 2\]"),
        (lambda X: np.zeros((len(X), 4)), r"must be \(1200, 10\)"),
        (lambda X: np.full((len(X), 10), 1.5), r"in \[0, 1\]"),
    ):
        with pytest.raises(InputError, match=message):
            ThetaNetClassifier(hidden=4, epochs=1, teacher=teacher).fit(X, y)
    with pytest.raises(InputError, match="fit_targets has its targets in L"):
        ThetaNetClassifier(teacher=few).fit_targets(X, np.eye(10)[y])


def test_diverging_deformed_training_says_so(eights):
    from thetanet import SGD

    X, y = eights[:2]
    with pytest.raises(DivergedError):
        ThetaNetClassifier(hidden=8, descent=SGD(learning_rate=1e6), deform=Deform(), epochs=3).fit(X, y)
