"""The trained models in the package, each with its model card, an .md file of the same name."""

from __future__ import annotations

from importlib import resources

from thetanet.errors import InputError, ModelFileError
from thetanet.models.model_file import Model, read_model

NAMES = ("mnist",)


def load_pretrained_model(name: str = "mnist") -> Model:
    """Return a trained model from the package, as `load_model` returns that of a file.

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
    """
    if name not in NAMES:
        raise InputError(f"name={name!r}: there is {', '.join(NAMES)}")
    file = resources.files("thetanet.models.pretrained") / f"{name}.safetensors"
    try:
        with file.open("rb") as stream:
            return read_model(stream)  # type: ignore[arg-type]
    except OSError as problem:
        raise ModelFileError(f"{file}: cannot be read ({problem.strerror}); install thetanet again") from None
