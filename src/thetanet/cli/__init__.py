"""The command line: parses, calls and shows. What it calls is the Python interface.

Each command is one file, which registers itself; a new command is one more name in this list.
"""

from thetanet.cli import check, convert, evaluate, inspect, merge, predict, read, report, serve, train  # noqa: F401
from thetanet.cli.program import app, main, run

__all__ = ["app", "main", "run"]
