"""The command line: parses, calls and shows. What it calls is the Python interface."""

from thetanet.cli import reading, reporting, serving, training, using  # noqa: F401  the commands register themselves
from thetanet.cli.shared import app, main, run

__all__ = ["app", "main", "run"]
