"""scikit-learn's own checks of an estimator: all of them."""

import pytest
from sklearn.utils.estimator_checks import parametrize_with_checks

from thetanet import CPUEngine, ThetaNetClassifier

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.DataConversionWarning")


def beyond_float32(estimator):
    """Weights are repetitions, to rounding; the check asks for 1e-7 after a training, beyond float32."""
    if getattr(estimator.engine, "dtype", "float32") == "float64":
        return {}
    kinds = ("dense", "sparse")
    return {f"check_sample_weight_equivalence_on_{kind}_data": "1e-7 is beyond float32" for kind in kinds}


@parametrize_with_checks(
    [
        ThetaNetClassifier(),
        ThetaNetClassifier(scaling="none", engine=CPUEngine("float64")),
        ThetaNetClassifier(epochs=20, engine=CPUEngine("float64")),
        ThetaNetClassifier(hidden=20, descent="gd", epochs=200, engine=CPUEngine("float64")),
    ],
    expected_failed_checks=beyond_float32,
)
def test_scikit_learn_checks(estimator, check):
    if estimator.descent == "gd" and "sample_weight_equivalence" in check.func.__name__:
        # At its minimum, after 60 to 100 line searches, the last bits decide on which rate each of them ends.
        estimator.set_params(epochs=40)
    check(estimator)
