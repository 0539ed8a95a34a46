"""The trained models in the package, as classifiers."""

from __future__ import annotations

from thetanet.classifier.estimator import ThetaNetClassifier
from thetanet.models.pretrained import load_pretrained_model


def load_pretrained(name: str = "mnist") -> ThetaNetClassifier:
    """Return a trained classifier from the package.

    Parameters
    ----------
    name : "mnist"
        Handwritten digits, 28 rows of 28 pixels from 0 (paper) to 255 (ink), centred as MNIST's are. Its
        model card, `thetanet/models/pretrained/mnist.md`, says how it was made and what it cannot do.

    Raises
    ------
    InputError
        If there is no model of that name.
    ModelFileError
        If its file is missing or damaged.

    Examples
    --------
    >>> from thetanet import load_pretrained
    >>> load_pretrained("mnist").classes_.tolist()
    [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]
    """
    return ThetaNetClassifier.from_model(load_pretrained_model(name))
