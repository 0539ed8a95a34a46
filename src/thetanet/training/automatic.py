"""What "auto" means for the data at hand: descent method, epochs, penalty; measured in docs/automatic.md."""

from __future__ import annotations

import numpy as np

# Below this share of the inputs that are not zero in a mini-batch, Adagrad's lazy steps are the quicker ones.
ADAGRAD_SHARE = 0.2
# Up to so many samples, inputs and hidden units, whole passes end at better networks than Adam's few steps.
SCG_SAMPLES, SCG_INPUTS, SCG_UNITS = 500, 100, 30
EPOCH_LIMITS = 7, 80  # the least and the largest number of epochs; 7 are enough for MNIST
DEFORM_EPOCHS_FACTOR, LONG_FACTOR = 6, 3  # times as many with deformed images, and with epochs="long"
PENALTY = 0.5
PENALIZED_SAMPLES = 100, 10_000  # numbers of samples that the penalty is good for


def choose_method(M: int | None, D_I: int, D_H: int, active: float, batch_size: int) -> tuple[str, str]:
    """Return the name of a descent method, and why it was chosen.

    Parameters
    ----------
    M : int or None
        Samples; None if there can be no whole passes, or Adam is given time enough.
    D_I, D_H : int
        Inputs and hidden units.
    active : float
        Inputs of a sample that are not zero, on average; D_I for dense data.
    batch_size : int
        Samples in a mini-batch.
    """
    share = active * batch_size / D_I
    if share < ADAGRAD_SHARE:
        lights = f"a mini-batch lights at most {share:.0%} of {D_I:,} inputs"
        return "adagrad", f"{lights}, and a step of adagrad costs no others"
    if M is not None and M <= SCG_SAMPLES and D_I <= SCG_INPUTS and D_H <= SCG_UNITS:
        size = f"{M} samples, {D_I} inputs and {D_H} units"
        return "scg", f"{size}: few steps an epoch, whole passes get further"
    return "adam", "as accurate as any on held-out samples of tables and pixels, and the quickest"


def choose_epochs(steps: int, deformed: bool, long: bool) -> int:
    """Return the number of epochs for so many steps an epoch.

    The more steps an epoch has, the fewer epochs are needed (measured, see DECISIONS.md). Images that are
    always new are never learnt by heart.
    """
    factor = (DEFORM_EPOCHS_FACTOR if deformed else 1) * (LONG_FACTOR if long else 1)
    return factor * int(np.clip(450 / steps**0.66, *EPOCH_LIMITS))


def choose_penalty(total_weight: float, scaling: str) -> float:
    """Return the factor of the L2 penalty: weights of inputs that are not standardised can be of any size."""
    least, most = PENALIZED_SAMPLES
    return PENALTY if scaling == "standard" and least <= total_weight < most else 0.0
