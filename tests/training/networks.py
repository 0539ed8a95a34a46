"""Networks for tests of training."""

from thetanet import ThetaNetClassifier


def net(**options):
    """Return a classifier of 10 units that is trained for 15 epochs, with other options."""
    return ThetaNetClassifier(**{"hidden": 10, "epochs": 15, "random_state": 0} | options)


def small_net(**options):
    """Return a classifier of 8 units that is trained for 5 epochs, with other options."""
    return ThetaNetClassifier(**{"hidden": 8, "epochs": 5, "random_state": 0} | options)
