"""scikit-learn's own checks of an estimator: all of them, none declared as expected to fail."""

import pytest
from sklearn.utils.estimator_checks import parametrize_with_checks

from thetanet import CPUEngine, ThetaNetClassifier

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.DataConversionWarning")


@parametrize_with_checks(
    [
        ThetaNetClassifier(),
        ThetaNetClassifier(scaling="none"),
        ThetaNetClassifier(hidden=20, descent="gd", epochs=200, engine=CPUEngine("float64")),
    ]
)
def test_scikit_learn_checks(estimator, check):
    check(estimator)
