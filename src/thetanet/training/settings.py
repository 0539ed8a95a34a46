"""The settings of a training: checked once, and what "auto" means for the data at hand."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

import numpy as np

from thetanet.checks import check_number
from thetanet.data.samples import TrainingSamples
from thetanet.descent import resolve
from thetanet.errors import InputError
from thetanet.images.deform import Deform
from thetanet.theta import Theta
from thetanet.training.automatic import choose_epochs, choose_method, choose_penalty

PATIENCE_FRACTION = 0.1  # of the samples that are held out where there is patience and nothing else is said


@dataclass(frozen=True)
class TrainingSettings:
    """How to train a network; `ThetaNetClassifier` describes each of the parameters.

    Raises
    ------
    InputError
        If a parameter cannot be used; the message names it.
    """

    hidden: int = 300
    descent: Any = "auto"
    epochs: int | str = "auto"
    batch_size: int = 128
    alpha: float | str = "auto"
    scaling: str = "auto"
    class_weight: Any = None
    deform: Deform | None = None
    teacher: Any = None
    init: Theta | None = None
    validation_fraction: float | None = None
    patience: int | None = None
    random_state: Any = None

    def __post_init__(self) -> None:
        check_number("hidden", self.hidden, least=1, whole=True)
        check_number("batch_size", self.batch_size, least=1, whole=True)
        if self.alpha != "auto":
            check_number("alpha", self.alpha, least=0)
        if self.patience is not None:
            check_number("patience", self.patience, least=1, whole=True)
        if self.validation_fraction is not None:
            check_number("validation_fraction", self.validation_fraction, least=0, most=0.9)
        if isinstance(self.epochs, str):
            if self.epochs not in ("auto", "long"):
                raise InputError(f"epochs={self.epochs!r}: must be a whole number, 'auto' or 'long'")
        else:
            check_number("epochs", self.epochs, least=1, whole=True)
        method = resolve(self.descent)
        if self.deform is not None:
            if not isinstance(self.deform, Deform):
                raise InputError(f"deform={self.deform!r}: must be a Deform(...) or None")
            if method.whole_passes:
                raise InputError(
                    f"deform with descent={self.descent!r}: new images in each step need a mini-batch rule, "
                    "e.g. 'adam'"
                )

    @property
    def held_out_fraction(self) -> float:
        """The share of the samples to hold out where no validation data are given."""
        return self.validation_fraction or (PATIENCE_FRACTION if self.patience is not None else 0.0)

    def method_for(self, samples: TrainingSamples, batch_size: int, partial: bool = False) -> tuple[Any, str]:
        """Return the descent method for these samples, and why "auto" chose it.

        `partial`: they are not all there is, as in `partial_fit`, so that whole passes are impossible.
        """
        if not isinstance(self.descent, str) or self.descent != "auto":
            return resolve(self.descent), ""
        X, D_I = samples.head.X, samples.D_I
        active = D_I if isinstance(X, np.ndarray) else X.nnz / max(1, X.shape[0])
        # Whoever sets the number of epochs means passes in mini-batches, and as many of them.
        M = None if partial or self.epochs != "auto" or self.deform is not None else samples.M
        name, reason = choose_method(M, D_I, int(self.hidden), active, batch_size)
        return resolve(name), reason

    def epochs_for(self, M: int, batch_size: int) -> int:
        """Return how many epochs a training with M samples takes at most."""
        if not isinstance(self.epochs, str):
            return int(self.epochs)
        return choose_epochs(-(-M // batch_size), self.deform is not None, self.epochs == "long")

    def penalty_for(self, samples: TrainingSamples) -> float:
        """Return the factor of the L2 penalty."""
        if self.alpha != "auto":
            return float(self.alpha)
        return choose_penalty(samples.total_weight, samples.scaling.kind)

    @property
    def fixed_seed(self) -> int | None:
        """The seed that the user has named, which a training that goes on must share."""
        seed = self.random_state
        return int(seed) if isinstance(seed, (int, np.integer)) else None

    def draw_seed(self) -> int:
        """Return a seed by `random_state`, as scikit-learn would."""
        if (seed := self.fixed_seed) is not None:
            legacy: Any = np.random.RandomState(seed)
        elif self.random_state is None:
            legacy = np.random  # the global generator, as in scikit-learn, whose import takes a second
        else:
            from sklearn.utils import check_random_state

            legacy = check_random_state(self.random_state)
        return int(legacy.randint(2**31 - 1))

    def as_texts(self) -> dict[str, str]:
        """Return the settings as texts, for model files."""
        return {each.name: repr(getattr(self, each.name)) for each in fields(self)}


def settings_from(parameters: dict[str, Any]) -> TrainingSettings:
    """Return the settings among the parameters of an estimator."""
    names = {each.name for each in fields(TrainingSettings)}
    return TrainingSettings(**{name: value for name, value in parameters.items() if name in names})
