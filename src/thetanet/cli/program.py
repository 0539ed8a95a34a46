"""The program: how commands register with it, its exit codes and errors, and what commands print with."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import fields, is_dataclass
from functools import wraps
from inspect import Parameter, Signature, get_annotations, signature
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_type_hints

import typer
from rich.console import Console
from rich.table import Table

import thetanet
from thetanet.errors import InputError, ThetanetError

if TYPE_CHECKING:
    from thetanet.data.source import Source
    from thetanet.evaluation.figures import Evaluation
    from thetanet.models.fitted import FittedNetwork

app = typer.Typer(
    name="thetanet",
    help="A network with one hidden layer of sigmoid units: train, measure and use it, check its gradient.",
    add_completion=False,
    rich_markup_mode=None,
)

# Names of files and labels are no markup, whatever they hold.
out = Console(highlight=False, soft_wrap=True, markup=False, emoji=False)


def main(arguments: list[str] | None = None) -> int:
    """Run the command line and return its exit code: 0 fine, 1 a check failed, 2 wrong usage or bad input."""
    arguments = sys.argv[1:] if arguments is None else arguments
    shown: set[str] = set()

    def show_warning(message: Any, *_: Any, **__: Any) -> None:
        if str(message) not in shown:  # data is read more than once
            shown.add(str(message))
            _print_error(f"warning: {message}")

    try:
        with warnings.catch_warnings():
            warnings.showwarning = show_warning
            code = app(arguments or ["--help"], prog_name="thetanet", standalone_mode=False)
    except (ThetanetError, ValueError, OSError) as problem:
        return _print_error(str(problem))
    except (KeyboardInterrupt, typer.Abort):
        return 130
    except Exception as problem:
        if hasattr(problem, "format_message"):  # the parser's errors
            return _print_error(f"{problem.format_message()} (see thetanet --help)")
        raise
    return code if isinstance(code, int) else 0


def _print_error(message: str) -> int:
    print("thetanet: " + " ".join(message.split()), file=sys.stderr)
    return 2


@app.callback(invoke_without_command=True)
def _root(version: bool = typer.Option(False, "--version", help="Print the version")) -> None:
    if version:
        print(thetanet.__version__)
        raise typer.Exit


def run() -> None:
    """Entry point of the `thetanet` command."""
    sys.exit(main())


def command(function: Callable[..., None]) -> Callable[..., None]:
    """Register a function as a command.

    A parameter whose annotation is a dataclass is a group of options, which typer does not know: its fields
    take its place in the signature, and the function is called with an instance.
    """
    hints = get_type_hints(function)
    groups: dict[str, Any] = {name: hint for name, hint in hints.items() if is_dataclass(hint)}
    parameters: list[Parameter] = []
    for name, parameter in signature(function).parameters.items():
        if name in groups:
            parameters += _list_options(groups[name])
        else:
            parameters.append(parameter.replace(annotation=hints[name], kind=Parameter.KEYWORD_ONLY))

    @wraps(function)
    def call_with_groups(**values: Any) -> None:
        for name, group in groups.items():
            values[name] = group(**{field.name: values.pop(field.name) for field in fields(group)})
        function(**values)

    call_with_groups.__signature__ = Signature(parameters)  # type: ignore[attr-defined]
    call_with_groups.__annotations__ = {each.name: each.annotation for each in parameters}
    app.command(function.__name__)(call_with_groups)
    return function


def _list_options(group: Any) -> Iterator[Parameter]:
    """Yield the fields of a group as parameters, those of a derived class before those of its bases."""
    hints, defaults = get_type_hints(group), {field.name: field.default for field in fields(group)}
    for name in dict.fromkeys(name for base in group.__mro__ for name in get_annotations(base)):
        yield Parameter(name, Parameter.KEYWORD_ONLY, default=defaults[name], annotation=hints[name])


def print_table(
    title: str, headings: Sequence[str], rows: Iterable[Sequence[Any]], caption: str | None = None
) -> None:
    """Print a table; a column without a heading is aligned to the left."""
    table = Table(title=title, caption=caption)
    for heading in headings:
        table.add_column(heading, justify="right" if heading else "left")
    for row in rows:
        table.add_row(*map(str, row))
    out.print(table)


def check_output_file(path: Path) -> None:
    """Check that the file of --out can be written, before it takes long to make what goes into it."""
    if not path.absolute().parent.is_dir():
        raise InputError(f"--out {path}: the folder does not exist; make it first")
    if path.is_dir():
        raise InputError(f"--out {path}: is a folder; name a file in it")


def evaluate_with_progress(network: FittedNetwork, source: Source, **options: Any) -> Evaluation:
    """Measure a network on a source, with a progress bar if that takes long."""
    from thetanet.evaluation.figures import evaluate
    from thetanet.training.progress import show_progress

    with show_progress(f"measuring on {source.name}", "parts") as advance:
        return evaluate(network, source, progress=advance, **options)
