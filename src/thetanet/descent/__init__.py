"""Descent methods: the table of their names, and the function that makes a method of an argument.

Whole-pass methods (`WholePassMethod`, objective.py) and mini-batch rules (`MiniBatchRule`, rule.py) know
neither network nor data. To add one: a class in a file of its own, and a row here.
"""

from __future__ import annotations

from typing import Any

from thetanet.descent.conjugate import ConjugateGradients, ScaledConjugateGradients
from thetanet.descent.lbfgs import LBFGS
from thetanet.descent.newton import Newton
from thetanet.descent.objective import Objective, Pass, State, WholePassMethod
from thetanet.descent.rprop import Rprop
from thetanet.descent.rule import MiniBatchRule
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

AUTO = "adam"  # what "auto" means where no data are known; else `thetanet.training.automatic` says

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
    "MiniBatchRule",
    "Newton",
    "Objective",
    "Pass",
    "RMSprop",
    "Rprop",
    "ScaledConjugateGradients",
    "State",
    "WholePassMethod",
    "resolve",
    "resolve_schedule",
]


def resolve(descent: Any, **options: Any) -> Any:
    """Return a descent method from its short name ("auto" or one of METHODS), or the object itself.

    Raises
    ------
    InputError
        If the name is unknown, or the object is neither a mini-batch rule nor a whole-pass method.
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
    if not isinstance(descent, MiniBatchRule | WholePassMethod):
        raise InputError(
            f"descent={descent!r}: must be a name or a method such as Adam(learning_rate=0.02); let the "
            "class of your method inherit from MiniBatchRule or WholePassMethod of thetanet.descent"
        )
    return descent
