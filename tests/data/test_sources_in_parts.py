"""Sources that are read in parts: memory, figures and scaling."""

import subprocess
import sys

import numpy as np
import pytest
from sample_files import X, Y

from thetanet import ThetaNetClassifier, array_source
from thetanet.data.scaling import Scaling
from thetanet.data.survey import survey_source
from thetanet.evaluation.figures import evaluate

pytestmark = pytest.mark.usefixtures("read_in_parts")

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
