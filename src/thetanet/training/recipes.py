"""Recipes: named settings for images, from seconds to the most accurate network we know how to train."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from thetanet.descent import Adam
from thetanet.errors import InputError
from thetanet.images.deform import Deform


@dataclass(frozen=True)
class Recipe:
    """Settings of a training, and what they bring on MNIST (docs/record.md has the measurements).

    Attributes
    ----------
    about : str
        One line.
    settings : dict
        Parameters of `ThetaNetClassifier`.
    """

    about: str
    settings: dict[str, Any]


RECIPES = {
    "quick": Recipe(
        "300 units, 7 epochs of the images as they are: about 1.9% errors in seconds",
        {"hidden": 300},
    ),
    "standard": Recipe(
        "800 units, 42 epochs of deformed images: 0.6 to 0.7% errors on held-out images, in minutes",
        {"hidden": 800, "descent": Adam(learning_rate=0.005), "deform": Deform()},
    ),
    "record": Recipe(
        "1,600 units, 126 epochs of strongly deformed images: the best single network, in ten minutes",
        {
            "hidden": 1600,
            "epochs": "long",
            "descent": Adam(learning_rate=0.003),
            "deform": Deform(rotate=15, scale=0.18, shear=0.2, elastic=0.06, anneal=0.2),
        },
    ),
}


def recipe(name: str) -> dict[str, Any]:
    """Return the settings of a recipe, as parameters of `ThetaNetClassifier`.

    Raises
    ------
    InputError
        If there is none of that name.

    Examples
    --------
    >>> from thetanet import ThetaNetClassifier, recipe
    >>> ThetaNetClassifier(**recipe("quick")).hidden
    300
    """
    if name not in RECIPES:
        raise InputError(f"recipe {name!r}: must be one of {', '.join(RECIPES)}")
    return dict(RECIPES[name].settings)
