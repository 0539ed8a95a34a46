"""What `descent="auto"` means, by the size and kind of the data; measured in docs/automatic.md."""

from __future__ import annotations

_SHARE = 0.2  # of the inputs lit in a mini-batch, below which Adagrad's lazy steps are the quicker ones
_SAMPLES, _INPUTS, _UNITS = (
    500,
    100,
    30,
)  # up to which whole passes end at better networks than Adam's few steps


def choose(M: int | None, D_I: int, D_H: int, lit: float, batch_size: int) -> tuple[str, str]:
    """Return the name of a descent method, and why it was chosen.

    Parameters
    ----------
    M : int or None
        Samples; None if there can be no whole passes, or Adam is given time enough.
    D_I, D_H : int
        Inputs and hidden units.
    lit : float
        Inputs of a sample that are not zero, on average; D_I for dense data.
    batch_size : int
        Samples in a mini-batch.
    """
    share = lit * batch_size / D_I
    if share < _SHARE:
        lights = f"a mini-batch lights at most {share:.0%} of {D_I:,} inputs"
        return "adagrad", f"{lights}, and a step of adagrad costs no others"
    if M is not None and M <= _SAMPLES and D_I <= _INPUTS and D_H <= _UNITS:
        return (
            "scg",
            f"{M} samples, {D_I} inputs and {D_H} units: few steps an epoch, whole passes get further",
        )
    return "adam", "as accurate as any on held-out samples of tables and pixels, and the quickest"
