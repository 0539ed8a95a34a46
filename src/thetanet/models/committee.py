"""Committees: several networks, or several looks at one image, as one network of the same form, exactly.

A look is what a network says of an image that was turned, scaled or shifted. Such changes are linear in the
pixels, x -> x S, so a network behind it is a network again: (x S) W1 = x (S W1). The mean over some
looks has a lower E than one (DECISIONS.md).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from thetanet.errors import InputError
from thetanet.models.model_file import Model
from thetanet.theta import Theta


def merge_models(models: Sequence[Model]) -> Model:
    """Return one model of several: its A2 is the mean of theirs (`Theta.merge`).

    Raises
    ------
    InputError
        If there are none, or they differ in inputs, outputs, labels or names.
    """
    if not models:
        raise InputError("models is empty: merge needs at least one model")
    first = models[0]
    for model in models[1:]:
        labels = [np.asarray([] if m.classes is None else m.classes).tolist() for m in (first, model)]
        if labels[0] != labels[1] or model.multilabel != first.multilabel:
            raise InputError(f"models know different labels, {labels[0]} and {labels[1]}: they must agree")
        if model.feature_names != first.feature_names or model.scaling != first.scaling:
            raise InputError("models differ in the names or the scaling of their inputs: they must agree")
    return Model(
        Theta.merge([model.theta for model in models]),
        classes=first.classes,
        multilabel=first.multilabel,
        feature_names=first.feature_names,
        input_shape=first.input_shape,
        scaling=first.scaling,
        training={"merged": [model.training for model in models]},
    )


def at_part(model: Model, part: int, parts: int) -> Model:
    """Return the model for inputs of `parts` equal parts side by side, of which it sees one.

    Members of a committee that look at different views of an image (`thetanet.images.normalise`) can be
    merged then: the committee is one network for all views side by side.

    Raises
    ------
    InputError
        If there is no such part.
    """
    if not 0 <= part < parts:
        raise InputError(f"part={part}: parts are numbered from 0 to {parts - 1}")
    theta = model.theta
    wide = Theta.zeros(theta.D_I * parts, theta.D_H, theta.D_O, theta.dtype)
    wide.b1[...], wide.two[...] = theta.b1, theta.two
    wide.W1[part * theta.D_I : (part + 1) * theta.D_I] = theta.W1
    names = model.feature_names
    return replace(
        model, theta=wide, feature_names=None if names is None else names * parts, input_shape=None
    )


def view(theta: Theta, change: Callable[[NDArray[Any]], NDArray[Any]], shape: tuple[int, int]) -> Theta:
    """Return the network that says of an image what `theta` says of the changed image.

    Parameters
    ----------
    theta : Theta
        For images of h * w pixels.
    change : callable
        Images (M, h, w) to images, linear in the pixels, such as ``partial(affine, angle=8)`` of
        `thetanet.evaluation.robustness`.
    shape : (h, w)
        Of the images.

    Raises
    ------
    InputError
        If the network is for another number of pixels, or the change is not linear.
    """
    h, w = shape
    if h * w != theta.D_I:
        raise InputError(f"shape={shape}: has {h * w} pixels, but theta takes D_I={theta.D_I} inputs")
    S = np.asarray(change(np.eye(h * w).reshape(-1, h, w)), np.float64).reshape(h * w, h * w)
    some = np.random.default_rng(0).uniform(0, 1, (4, h * w))
    if not np.allclose(change(some.reshape(-1, h, w)).reshape(4, -1), some @ S, atol=1e-5):
        raise InputError("change is not linear in the pixels: give a shift, a rotation, a scale or a blur")
    changed = theta.copy()
    changed.W1[...] = S @ np.asarray(theta.W1, np.float64)
    return changed
