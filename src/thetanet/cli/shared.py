"""What the commands share: the program, its options, how results and errors are shown."""

from __future__ import annotations

import sys
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console

import thetanet
from thetanet.errors import ThetanetError

if TYPE_CHECKING:
    from thetanet.classifier.trainable import TrainableNetwork

app = typer.Typer(
    name="thetanet",
    help="A network with one hidden layer of sigmoid units: train, measure and use it, check its gradient.",
    add_completion=False,
    rich_markup_mode=None,
)

DataOption = Annotated[
    Path | None,
    typer.Option(
        "--data", help="An .npz file (X, y, maybe X_test, y_test), table or folder: docs/data.md [MNIST]"
    ),
]
ArraysOption = Annotated[
    Path | None,
    typer.Option(
        "--data", help="An .npz file (X, y, maybe X_test, y_test), or a folder of .npy or IDX files [MNIST]"
    ),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON object instead of text")]
ModelArgument = Annotated[
    Path | None,
    typer.Argument(help="A file written by `thetanet train` [the model in the package]", show_default=False),
]
RejectOption = Annotated[
    float, typer.Option("--reject-below", min=0, max=1, help="Give no answer that is less sure than this")
]

# Names of files and labels are no markup, whatever they hold.
out = Console(highlight=False, soft_wrap=True, markup=False, emoji=False)


def main(arguments: list[str] | None = None) -> int:
    """Run the command line and return its exit code: 0 fine, 1 a check failed, 2 wrong usage or bad input."""
    arguments = sys.argv[1:] if arguments is None else arguments
    shown: set[str] = set()

    def show(message: Any, *_: Any, **__: Any) -> None:
        if str(message) not in shown:  # data is looked at more than once
            shown.add(str(message))
            _complain(f"warning: {message}")

    try:
        with warnings.catch_warnings():
            warnings.showwarning = show
            code = app(arguments or ["--help"], prog_name="thetanet", standalone_mode=False)
    except (ThetanetError, ValueError, OSError) as problem:
        return _complain(str(problem))
    except (KeyboardInterrupt, typer.Abort):
        return 130
    except Exception as problem:
        if hasattr(problem, "format_message"):  # the parser's own errors
            return _complain(f"{problem.format_message()} (see thetanet --help)")
        raise
    return code if isinstance(code, int) else 0


def _complain(message: str) -> int:
    print("thetanet: " + " ".join(message.split()), file=sys.stderr)
    return 2


@app.callback(invoke_without_command=True)
def _root(version: Annotated[bool, typer.Option("--version", help="Print the version")] = False) -> None:
    if version:
        print(thetanet.__version__)
        raise typer.Exit


def load_network(model: Path | None) -> TrainableNetwork:
    """Load a model file, or the model in the package."""
    # The command line does without scikit-learn, whose import takes a second.
    from thetanet.classifier.trainable import TrainableNetwork
    from thetanet.models.pretrained import load_pretrained_model

    return (
        TrainableNetwork.from_model(load_pretrained_model())
        if model is None
        else TrainableNetwork.load(model)
    )


def run() -> None:
    """Entry point of the `thetanet` command."""
    sys.exit(main())
