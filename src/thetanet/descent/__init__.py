"""Descent methods: the table of their names, and how an argument becomes a method.

Whole-pass methods (`descend(objective, theta, state)`, see objective.py) and mini-batch rules (`update(theta,
gradient, state, c)`, see stochastic.py) know neither network nor data. To add one: a class in a file of its
own, and a row here.
"""

from __future__ import annotations

from typing import Any

from thetanet.descent.automatic import choose
from thetanet.descent.conjugate import ConjugateGradients, ScaledConjugateGradients
from thetanet.descent.lbfgs import LBFGS
from thetanet.descent.newton import Newton
from thetanet.descent.objective import Objective, Pass, State, WholePass
from thetanet.descent.rprop import Rprop
from thetanet.descent.schedules import SCHEDULES, resolve_schedule
from thetanet.descent.steepest import GradientDescent
from thetanet.descent.stochastic import SGD, Adagrad, Adam, AdamW, RMSprop
from thetanet.descent.wrappers import Averaged, Clipped
from thetanet.errors import InputError

METHODS: dict[str, Any] = {
    "gd": GradientDescent,
    "cg": ConjugateGradients,
    "scg": ScaledConjugateGradients,
    "rprop": Rprop,
    "lbfgs": LBFGS,
    "newton": Newton,
    "sgd": SGD,
    "adagrad": Adagrad,
    "rmsprop": RMSprop,
    "adam": Adam,
    "adamw": AdamW,
}

AUTO = "adam"  # what "auto" means where no data are known; else `choose` says

__all__ = [
    "AUTO",
    "LBFGS",
    "METHODS",
    "SCHEDULES",
    "SGD",
    "Adagrad",
    "Adam",
    "AdamW",
    "Averaged",
    "Clipped",
    "ConjugateGradients",
    "GradientDescent",
    "Newton",
    "Objective",
    "Pass",
    "RMSprop",
    "Rprop",
    "ScaledConjugateGradients",
    "State",
    "WholePass",
    "choose",
    "is_whole_pass",
    "resolve",
    "resolve_schedule",
]


def resolve(descent: Any, **options: Any) -> Any:
    """Return a descent method from its short name ("auto" or one of METHODS), or the object itself.

    Raises
    ------
    InputError
        If the name is unknown, or the object has neither `descend` nor `update`.
    """
    if isinstance(descent, str):
        name = AUTO if descent == "auto" else descent
        if name not in METHODS:
            raise InputError(f"descent={descent!r}: must be one of auto, {', '.join(METHODS)}, or an object")
        try:
            return METHODS[name](**options)
        except TypeError as problem:
            unknown = sorted(set(options) - set(METHODS[name].__dataclass_fields__))
            raise InputError(f"descent={descent!r} has no option {', '.join(unknown)}") from problem
    if isinstance(descent, type) or not (hasattr(descent, "descend") or hasattr(descent, "update")):
        raise InputError(
            f"descent={descent!r}: must be a name or a method such as Adam(learning_rate=0.02); a method has "
            "`descend` (whole passes) or `update` (mini-batches)"
        )
    return descent


def is_whole_pass(method: Any) -> bool:
    """Tell whether a method needs passes over all samples (and no mini-batches)."""
    return hasattr(method, "descend")
