import copy
import pickle

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from thetanet import Theta, forward
from thetanet.errors import InputError

sizes = st.integers(1, 6)


def test_matrices_and_flat_are_the_same_memory():
    theta = Theta.random(3, 4, 2)
    theta.one[0, 1] = 7.0
    theta.W2[2, 1] = 8.0
    theta.flat[-1] = 9.0
    assert theta.b1[1] == 7.0
    assert theta.two[3, 1] == 8.0
    assert theta.two[4, 1] == 9.0
    assert np.array_equal(theta.flat, np.r_[theta.one.ravel(), theta.two.ravel()])


@given(sizes, sizes, sizes, st.sampled_from(["float32", "float64"]))
def test_round_trips_keep_every_bit(D_I, D_H, D_O, dtype):
    theta = Theta.random(D_I, D_H, D_O, seed=D_I, dtype=dtype)
    for twin in (
        Theta(theta.one, theta.two),
        Theta.from_flat(theta.flat.copy(), D_I, D_H, D_O),
        theta.copy(),
        copy.deepcopy(theta),
        pickle.loads(pickle.dumps(theta)),
    ):
        assert twin == theta
        assert twin.dtype == theta.dtype
        twin.flat += 1
        assert np.array_equal(twin.one[0], theta.one[0] + 1)  # its views are its own
        assert twin != theta


def test_from_flat_does_not_copy():
    flat = np.zeros(4 * 4 + 5 * 2)
    assert np.shares_memory(Theta.from_flat(flat, 3, 4, 2).two, flat)


def test_random_is_seeded_and_has_the_scale_of_its_fan_in():
    assert Theta.random(5, 4, 3, seed=1) == Theta.random(5, 4, 3, seed=1)
    assert Theta.random(5, 4, 3, seed=1) != Theta.random(5, 4, 3, seed=2)
    theta = Theta.random(400, 100, 50, seed=0)
    assert theta.W1.std() == pytest.approx(1 / 20, rel=0.05)
    assert theta.W2.std() == pytest.approx(1 / 10, rel=0.05)
    assert not theta.b1.any()
    assert not theta.b2.any()


def test_equality_asks_for_shape_type_and_values():
    theta = Theta.random(2, 3, 1)
    assert theta != Theta.random(3, 2, 1)
    assert theta != theta.astype(np.float32)
    assert (theta == "Theta") is False
    with pytest.raises(TypeError):
        hash(theta)


def test_lists_of_whole_numbers_are_welcome():
    theta = Theta([[0, 1], [2, 3]], [[1], [2], [3]])
    assert theta.shape == (1, 2, 1)
    assert theta.dtype == np.float64
    assert repr(theta) == "Theta(D_I=1, D_H=2, D_O=1, dtype=float64)"


@given(st.lists(st.integers(1, 4), min_size=1, max_size=4), sizes, sizes)
def test_a_committee_is_one_network_with_the_mean_of_the_pre_activations(hidden, D_I, D_O):
    members = [Theta.random(D_I, D_H, D_O, seed=i) for i, D_H in enumerate(hidden)]
    for i, member in enumerate(members):
        member.b2[...] = i
    X = np.random.default_rng(0).normal(size=(D_I, 5))
    merged = Theta.merge(members)
    assert sum(hidden) == merged.D_H
    mean = np.mean([forward(m, X).A2 for m in members], axis=0)
    np.testing.assert_allclose(forward(merged, X).A2, mean, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Theta(np.zeros((3, 2)), np.zeros((2, 1))), "two has 2 rows.*needs 3 rows"),
        (lambda: Theta(np.zeros(3), np.zeros((2, 1))), r"one has shape \(3,\)"),
        (lambda: Theta(np.zeros((1, 2)), np.zeros((3, 1))), r"one has shape \(1, 2\).*bias"),
        (lambda: Theta(np.zeros((3, 2), complex), np.zeros((3, 1))), "one has dtype complex128"),
        (lambda: Theta([["a"], ["b"]], [[1], [2]]), "one has dtype"),
        (lambda: Theta.from_flat(np.zeros(5), 1, 1, 1), r"flat has shape \(5,\).*one vector of 4"),
        (lambda: Theta.from_flat(np.zeros((2, 2)), 1, 1, 1), r"flat has shape \(2, 2\)"),
        (lambda: Theta.zeros(0, 3, 1), "D_I=0: must be a whole number, at least 1"),
        (lambda: Theta.random(2, 3, -1), "D_O=-1"),
        (lambda: Theta.zeros(2, True, 1), "D_H=True"),
        (lambda: Theta.merge([]), "thetas is empty"),
        (lambda: Theta.merge([Theta.zeros(1, 2, 3), Theta.zeros(2, 2, 3)]), "members must agree"),
    ],
)
def test_errors_name_argument_value_and_remedy(make, message):
    with pytest.raises(InputError, match=message):
        make()
