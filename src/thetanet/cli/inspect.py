"""The command that looks for what is wrong in a network."""

from __future__ import annotations

import json

from thetanet.cli.options import JSON, DataOptions, ModelOptions
from thetanet.cli.program import command, out, print_table


@command
def inspect(model: ModelOptions, data: DataOptions, as_json: bool = JSON) -> None:
    """Look for what is wrong in a network: norms, saturated and dead units, dead inputs, largest weights."""
    from thetanet.evaluation.inspection import inspect_network

    network = model.load_network()
    data.check_path_given(data.data)
    source = None
    if data.data is not None or network.theta.D_I == 784:  # MNIST fits
        source = data.open_dataset(network).test_or_training
    inspection = inspect_network(network, source)
    if as_json:
        print(json.dumps({"model": str(model.model or model.name), **inspection.as_dict()}))
        return
    print_table(
        f"{inspection.D_I} inputs, {inspection.D_H} hidden units, {inspection.D_O} outputs",
        ["", "norm", "root mean square", "largest"],
        (
            (name, f"{row['norm']:.4g}", f"{row['rms']:.4g}", f"{row['largest']:.4g}")
            for name, row in inspection.norms.items()
        ),
    )
    if inspection.saturation is None:
        out.print("give --data to see which hidden units are saturated")
    else:
        fraction = inspection.saturation
        out.print(f"on {inspection.samples:,} samples {fraction:.1%} of the activations are saturated")
        out.print(f"stuck units (saturated at 99% of the samples): {_format_list(inspection.stuck_units)}")
        out.print(f"still units (hardly vary): {_format_list(inspection.still_units)}")
    out.print(f"units that no output hears: {_format_list(inspection.unheard_units)}")
    out.print(f"inputs without influence: {_format_list(inspection.dead_inputs)}")
    for weight in inspection.largest:
        origin, target = ("input", "hidden unit") if weight["layer"] == 1 else ("hidden unit", "output")
        out.print(f"weight {weight['value']:+.4g}: {origin} {weight['from']} to {target} {weight['to']}")


def _format_list(numbers: list[int] | None) -> str:
    """Return how many numbers there are, and the first twelve."""
    numbers = numbers or []
    shown = ", ".join(map(str, numbers[:12])) + (", ..." if len(numbers) > 12 else "")
    return f"{len(numbers)}" + (f"  ({shown})" if shown else "")
