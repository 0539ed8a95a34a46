"""The command line: parses, calls and shows. What it calls is the Python interface."""

from thetanet.cli import converting, reading, reporting, serving, training, using  # noqa: F401  they register themselves
from thetanet.cli.shared import app, main, run

__all__ = ["app", "main", "run"]
