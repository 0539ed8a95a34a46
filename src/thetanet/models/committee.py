"""Committees: several networks, or one network of several transformed images, merged exactly into one.

A rotation, a scaling or a shift of an image is linear in its pixels, x -> x S. So the network of a
transformed image is again a network of the image: (x S) W1 = x (S W1). The mean over several transforms has a
lower E than a single network (DECISIONS.md).
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
    """Return one model whose A2 is the mean of the models' A2 (`Theta.merge`).

    Raises
    ------
    InputError
        If `models` is empty, or they differ in inputs, outputs, labels, names or scaling.
    """
    if not models:
        raise InputError("models is empty: merge needs at least one model")
    first = models[0]
    for model in models[1:]:
        labels = [np.asarray([] if m.classes is None else m.classes).tolist() for m in (first, model)]
        if labels[0] != labels[1] or model.multilabel != first.multilabel:
            raise InputError(
                f"models have different labels, {labels[0]} and {labels[1]}: merge models of the same labels"
            )
        if model.feature_names != first.feature_names or model.scaling != first.scaling:
            raise InputError(
                "models differ in the names or the scaling of their inputs: merge models of the same inputs"
            )
    return Model(
        Theta.merge([model.theta for model in models]),
        classes=first.classes,
        multilabel=first.multilabel,
        feature_names=first.feature_names,
        input_shape=first.input_shape,
        scaling=first.scaling,
        training={"merged": [model.training for model in models]},
    )


def embed_in_view(model: Model, view: int, n_views: int) -> Model:
    """Return the model for inputs of several views side by side, of which it uses one.

    The weights of all other views are zero. Members of a committee that use different views of an image
    (`thetanet.images.normalise`) can then be merged into one network of all views.

    Parameters
    ----------
    model : Model
        For inputs of one view, D_I numbers.
    view : int
        The view that it uses, from 0 to n_views - 1.
    n_views : int
        Number of views: the returned model has n_views * D_I inputs.

    Raises
    ------
    InputError
        If there is no such view.
    """
    if not 0 <= view < n_views:
        raise InputError(f"view={view}: must be a number from 0 to {n_views - 1}")
    theta = model.theta
    wide = Theta.zeros(theta.D_I * n_views, theta.D_H, theta.D_O, theta.dtype)
    wide.b1[...], wide.two[...] = theta.b1, theta.two
    wide.W1[view * theta.D_I : (view + 1) * theta.D_I] = theta.W1
    names = model.feature_names
    return replace(
        model, theta=wide, feature_names=None if names is None else names * n_views, input_shape=None
    )


def compose_with(
    theta: Theta, transform: Callable[[NDArray[Any]], NDArray[Any]], shape: tuple[int, int]
) -> Theta:
    """Return the network whose output for an image is that of `theta` for the transformed image.

    Parameters
    ----------
    theta : Theta
        A network of images of h * w pixels, D_I = h * w.
    transform : callable
        Maps images (M, h, w) to images, linearly in the pixels, such as ``partial(affine, angle=8)`` of
        `thetanet.evaluation.robustness`.
    shape : (h, w)
        Shape of an image.

    Returns
    -------
    Theta
        Of the same shape; only W1 differs.

    Raises
    ------
    InputError
        If h * w is not D_I, or the transform is not linear.
    """
    h, w = shape
    if h * w != theta.D_I:
        raise InputError(
            f"shape={shape}: has {h * w} pixels, but theta has D_I={theta.D_I} inputs: give its images' shape"
        )
    S = np.asarray(transform(np.eye(h * w).reshape(-1, h, w)), np.float64).reshape(h * w, h * w)
    X = np.random.default_rng(0).uniform(0, 1, (4, h * w))
    if not np.allclose(transform(X.reshape(-1, h, w)).reshape(4, -1), X @ S, atol=1e-5):
        raise InputError("transform is not linear in the pixels: give a shift, a rotation, a scale or a blur")
    composed = theta.copy()
    composed.W1[...] = S @ np.asarray(theta.W1, np.float64)
    return composed
