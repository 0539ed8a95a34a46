"""What the processor engine promises beyond `conformance.py`: inactive inputs, memory, errors."""

import numpy as np
import pytest

from thetanet import AdamW, CPUEngine, Theta
from thetanet.data.samples import Samples
from thetanet.data.scaling import Scaling
from thetanet.errors import InputError


def test_decoupled_decay_spares_biases_and_reaches_inactive_inputs():
    rng = np.random.default_rng(0)
    X = np.zeros((30, 4))
    X[:, :2] = rng.normal(size=(30, 2))
    L = np.full((30, 3), 0.5)
    theta = Theta(rng.normal(size=(5, 6)), np.zeros((7, 3)))  # Y = L: no gradient anywhere
    rule = AdamW(weight_decay=0.2)
    c = np.array([rule.coefficients(t, 0.5) for t in range(3)])
    for sparse_inputs in (False, True):
        stepper = CPUEngine("float64", sparse=sparse_inputs).stepper(theta, rule, 10)
        stepper.run(Samples(X, L, 3, Scaling.identity(4)), np.arange(30), c)
        end = stepper.theta()
        np.testing.assert_allclose(end.W1, 0.9**3 * theta.W1, rtol=1e-12)
        np.testing.assert_array_equal(end.b1, theta.b1)


@pytest.mark.parametrize(("share", "bytes_a_sample"), [(1.0, 40), (0.1, 120)])
def test_memory_beside_the_data_is_small(share, bytes_a_sample):
    import tracemalloc

    # Dense: only labels and the order of the samples grow with their number. Sparse: 3 bytes a non-zero too
    # (60 of these 200 bytes), and where rows begin.
    theta, peaks = Theta.random(200, 20, 3), []
    for M in (4_000, 40_000):
        X = (np.random.default_rng(0).random((M, 200)) < share).astype(np.uint8)
        samples = Samples(X, np.zeros(M, np.int64), 3, Scaling.identity(200))
        CPUEngine().error_and_gradient(theta, samples.take(slice(10)))
        tracemalloc.start()
        CPUEngine().error_and_gradient(theta, samples)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert (peaks[1] - peaks[0]) / 36_000 < bytes_a_sample


@pytest.mark.parametrize(
    ("arguments", "message"),
    [({"dtype": "int8"}, "dtype='int8'"), ({"tile": 0}, "tile=0: must be a whole number at least 1")],
)
def test_errors(arguments, message):
    with pytest.raises(InputError, match=message):
        CPUEngine(**arguments)
