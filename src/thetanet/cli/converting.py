"""Data that is read in parts: its options, how it is opened, and the command that converts it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from thetanet.cli.shared import JsonOption, app, out
from thetanet.errors import InputError

if TYPE_CHECKING:
    from thetanet.data.source import Source
    from thetanet.data.survey import Survey

TargetOption = Annotated[
    str | None, typer.Option(help="Column of labels in a table [label, target, class or y]")
]
SkipBadOption = Annotated[
    bool, typer.Option("--skip-bad", help="Leave malformed rows and images out, and say how many")
]
SizeOption = Annotated[
    tuple[int, int] | None, typer.Option(help="Height and width of images in a folder [their own]")
]
DtypeOption = Annotated[
    str | None, typer.Option(help="Type of the inputs of a table: uint8, float32, float64 [the columns']")
]


ZeroOption = Annotated[
    bool | None,
    typer.Option("--zero-based/--one-based", help="Where indices of svmlight begin [at 0 where one is 0]"),
]


@dataclass(frozen=True)
class How:
    """Options of data that is read in parts."""

    target: str | None = None
    skip_bad: bool = False
    size: tuple[int, int] | None = None
    dtype: str | None = None
    zero_based: bool | None = None

    def open(
        self, path: Path | Sequence[Path], like: int | None = None, names: Sequence[str] | None = None
    ) -> Source:
        """Open data as a source.

        With `like`, it is further data, of so many inputs, whose names are `names` if they have any: options
        that have no meaning for it are left out.
        """
        from thetanet.data.input_order import ordered_like
        from thetanet.data.open import TAKES, kind_of, open_source

        given = asdict(self)
        paths = [path] if isinstance(path, Path) else list(path)
        if like is not None and all(each.exists() for each in paths):
            takes = TAKES.get(kind_of(paths)[0], ())
            given = {name: value for name, value in given.items() if name in takes}
            if "n_features" in takes:
                given["n_features"] = like  # a few samples need not show the last ones
        source = open_source(paths if len(paths) > 1 else paths[0], **given)
        ordered_like(
            source, names
        )  # says at once that the names are others; who reads it cares for the order
        return source

    def as_of(self, source: Source) -> How:
        """Return the same for further data, whose indices begin where those of this source do."""
        return replace(self, zero_based=getattr(source.parts[0], "zero_based", self.zero_based))

    def must_have(self, *paths: Path | None) -> None:
        """Check that there is data that these options are about."""
        given = [
            f"--{name.replace('_', '-')}"
            for name, value in asdict(self).items()
            if value not in (None, False)
        ]
        if self.zero_based is False:
            given.append("--one-based")
        if given and all(path is None for path in paths):
            raise InputError(
                f"{', '.join(given)}: say how data is read in parts, but there is no --data; give --data PATH"
            )

    def needed(self, path: Path | None) -> bool:
        """Tell whether data is to be read in parts."""
        from thetanet.data.open import source_needed

        return path is not None and (self != How() or source_needed(path))

    def test_of(self, path: Path) -> Source | None:
        """Return the test samples that lie beside the training samples."""
        from thetanet.data.open import source_of_test

        return source_of_test(path, size=self.size, skip_bad=self.skip_bad)


def surveyed(source: Source) -> Survey:
    """Look through a source, with a bar for what takes long."""
    from thetanet.data.survey import survey
    from thetanet.training.progress import counted

    with counted(f"looking through {source.name}", "parts") as advance:
        return survey(source, advance)


def measured(net: Any, source: Source, **how: Any) -> Any:
    """Measure a network on a source, with a bar for what takes long."""
    from thetanet.data.skipping import skipped_by, warn_of
    from thetanet.evaluation.report_of_parts import evaluation_of_parts
    from thetanet.training.progress import counted

    with counted(f"measuring on {source.name}", "parts") as advance:
        found = evaluation_of_parts(net, source, progress=advance, **how)
    warn_of(skipped_by(source))
    return found


@app.command()
def convert(
    source: Annotated[
        list[Path], typer.Argument(help="A file, several of one kind, or a folder", show_default=False)
    ],
    to: Annotated[Path, typer.Option("--out", help="Folder to write X.npy and y.npy into")],
    target: TargetOption = None,
    skip_bad: SkipBadOption = False,
    size: SizeOption = None,
    dtype: DtypeOption = None,
    zero_based: ZeroOption = None,
    as_json: JsonOption = False,
) -> None:
    """Write a table, svmlight file, IDX or image folder as .npy files, which are read fastest."""
    from thetanet.data.convert import convert as write
    from thetanet.training.progress import counted

    how = How(target, skip_bad, size, dtype, zero_based)
    opened = how.open(source)
    test = how.test_of(source[0]) if len(source) == 1 else None
    with counted(f"converting {opened.name}", "parts") as advance:
        M, D_I = write(opened, to, test, advance)
    if as_json:
        print(json.dumps({"out": str(to), "M": M, "D_I": D_I}))
    else:
        out.print(f"{opened.name}: {M:,} samples of {D_I} inputs")
        out.print(f"converted: {to}")
