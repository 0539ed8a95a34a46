"""Committees: several networks as one network of the same form, exactly."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from thetanet.errors import InputError
from thetanet.model_file import Model
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
