"""The command that checks the gradient."""

from __future__ import annotations

import json

from typer import Exit, Option

from thetanet.cli.options import JSON
from thetanet.cli.program import command, out, print_table


@command
def check(
    cases: int = Option(20, min=1, help="Random problems"),
    seed: int = Option(0, min=0, help="Of the random problems"),
    as_json: bool = JSON,
) -> None:
    """Compare the numeric with the analytic gradient, of the mathematics and of the engine."""
    from thetanet.evaluation.gradient_check import PARTS, TOLERANCE, engine_gradient, largest_differences

    network = largest_differences(cases, seed)
    engine = largest_differences(cases, seed, engine_gradient)
    passed = max(*network.values(), *engine.values()) < TOLERANCE
    if as_json:
        print(json.dumps({"passed": passed, "tolerance": TOLERANCE, "network": network, "engine": engine}))
    else:
        print_table(
            f"largest relative difference, numeric against analytic ({cases} random problems)",
            ["", "network.py", "engine (float64)"],
            ((part, f"{network[part]:.1e}", f"{engine[part]:.1e}") for part in PARTS),
        )
        out.print(f"{'passed' if passed else 'FAILED'}: tolerance {TOLERANCE:.0e}")
    if not passed:
        raise Exit(1)
