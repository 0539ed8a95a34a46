"""Unusual inputs: images without a centre, strong deformations, sparse matrices with duplicates."""

import numpy as np
import pytest
from networks import small_net
from scipy import sparse
from sklearn.datasets import load_digits

from thetanet import Deform, normalise_images
from thetanet.errors import InputError


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 1e200])
@pytest.mark.parametrize("view", ["upright", "even", "wide", "upright-wide"])
def test_views_refuse_ink_without_a_centre(value, view):
    X = np.random.default_rng(0).random((3, 49))
    X[1, 3] = value
    with pytest.raises(InputError, match="X holds NaN"):
        normalise_images(X, [view])


def test_deformations_have_a_limit():
    X = load_digits().data[:50, :49]
    with pytest.raises(InputError, match="strength=1000000000000"):
        Deform()(X, strength=1e12)
    strongest = Deform(rotate=180, scale=2, shear=2, shift=1, elastic=1, pen=1)
    assert np.isfinite(strongest(X, strength=10)).all()


def test_a_sparse_matrix_of_the_user_stays_as_it_is(halves):
    X, y = halves
    data, (rows, columns) = np.repeat(X.ravel() / 2, 2), np.indices(X.shape).reshape(2, -1).repeat(2, axis=1)
    matrix = sparse.csr_matrix((400, 5))
    order = np.argsort(rows, kind="stable")
    matrix.data, matrix.indices = data[order], columns[order].astype(np.int32)
    matrix.indptr = np.arange(0, 4001, 10, dtype=np.int32)  # every entry is given in two halves
    matrix.data.flags.writeable = False
    network = small_net().fit(matrix, y)
    assert matrix.nnz == 4000
    np.testing.assert_allclose(
        network.theta_.flat, small_net().fit(sparse.csr_matrix(X), y).theta_.flat, rtol=1e-5
    )
