"""`python -m thetanet`."""

from thetanet.cli import run

run()
