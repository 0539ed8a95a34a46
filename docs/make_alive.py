"""Run the code cells of docs/alive.md, write what they print into it, and make examples/alive.ipynb of it.

The page is the source. A ``python`` block is followed by what it prints, a ``text`` block, and, if it ends
with a figure, by an image ``![alternative text](file.png)``. The text block and the file are made here::

    python docs/make_alive.py
"""

from __future__ import annotations

import ast
import base64
import contextlib
import io
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

DOCS = Path(__file__).resolve().parent
PAGE = DOCS / "alive.md"
NOTEBOOK = DOCS.parent / "examples" / "alive.ipynb"

_CELL = re.compile(
    r"^```python\n(?P<source>.*?)^```\n"
    r"(?:\n```text\n(?P<printed>.*?)^```\n)?"
    r"(?:\n!\[(?P<alternative>[^\]\n]*)\]\((?P<picture>[^)\n]+)\)\n)?",
    re.DOTALL | re.MULTILINE,
)


@dataclass(frozen=True)
class Text:
    """What stands between two code cells."""

    source: str

    def page(self) -> str:
        """Return the Markdown of the page."""
        return self.source


@dataclass(frozen=True)
class Cell:
    """A code cell with what it prints and the picture that it ends with."""

    source: str
    printed: str = ""
    alternative: str = ""
    picture: str = ""

    def page(self) -> str:
        """Return the Markdown of the page."""
        parts = [f"```python\n{self.source}```\n"]
        if self.printed:
            parts.append(f"```text\n{self.printed}```\n")
        if self.picture:
            parts.append(f"![{self.alternative}]({self.picture})\n")
        return "\n".join(parts)


def read(page: str) -> list[Text | Cell]:
    """Take the page apart; joined again by `write` it is the same."""
    parts: list[Text | Cell] = []
    end = 0
    for found in _CELL.finditer(page):
        if page[end : found.start()]:
            parts.append(Text(page[end : found.start()]))
        parts.append(Cell(**{name: text or "" for name, text in found.groupdict().items()}))
        end = found.end()
    return [*parts, Text(page[end:])] if page[end:] else parts


def write(parts: list[Text | Cell]) -> str:
    """Return the page."""
    return "".join(part.page() for part in parts)


def run(parts: list[Text | Cell], names: dict[str, Any]) -> Iterator[tuple[Cell, str, Any]]:
    """Run the cells in order in the namespace `names`; yield each, what it printed, its figure or None."""
    for number, cell in enumerate((part for part in parts if isinstance(part, Cell)), start=1):
        tree = ast.parse(cell.source)
        last = tree.body.pop() if isinstance(tree.body[-1], ast.Expr) else None
        value = None
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            exec(compile(tree, f"cell {number}", "exec"), names)
            if last is not None:
                value = eval(compile(ast.Expression(last.value), f"cell {number}", "eval"), names)
        figure = value if hasattr(value, "savefig") else None
        if (figure is None) != (not cell.picture) or (figure is None and value is not None):
            raise ValueError(
                f"cell {number} ends with {value!r}: print numbers; end with a figure where, and only where, "
                f"an image follows ({cell.picture or 'none follows'})"
            )
        yield cell, printed.getvalue(), figure


def png(figure: Any) -> bytes:
    """Return the figure as a small PNG: 128 colours are enough for what is drawn here."""
    from PIL import Image

    drawn, small = io.BytesIO(), io.BytesIO()
    figure.savefig(drawn, format="png", dpi=72, facecolor="white")
    image = Image.open(drawn).convert("RGB").quantize(128, dither=Image.Dither.NONE)
    image.save(small, format="png", optimize=True)
    return small.getvalue()


def notebook(parts: list[Text | Cell]) -> str:
    """Return the notebook of a page: the same text, code, output and pictures."""
    cells: list[dict[str, Any]] = []
    for part in parts:
        if isinstance(part, Text):
            # The notebook lies in another folder: links to neighbours of the page become links to docs/.
            text = re.sub(r"\]\((?!https?:|#|\.\./)", "](../docs/", part.source.strip("\n"))
            if text:
                cells.append({"cell_type": "markdown", "metadata": {}, "source": _lines(text)})
            continue
        outputs: list[dict[str, Any]] = []
        if part.printed:
            outputs.append({"name": "stdout", "output_type": "stream", "text": _lines(part.printed)})
        if part.picture:
            data = {
                "image/png": base64.b64encode((DOCS / part.picture).read_bytes()).decode() + "\n",
                "text/plain": [part.alternative],
            }
            outputs.append({"data": data, "metadata": {}, "output_type": "display_data"})
        cells.append(_code(part.source, outputs, sum(c["cell_type"] == "code" for c in cells) + 1))
    for number, cell in enumerate(cells):
        cell["id"] = f"cell-{number}"
    kernel = {"display_name": "Python 3", "language": "python", "name": "python3"}
    document = {
        "cells": cells,
        "metadata": {"kernelspec": kernel, "language_info": {"name": "python"}},
        "nbformat": 4,
        "nbformat_minor": 5,
    }
    return json.dumps(document, indent=1, ensure_ascii=False, sort_keys=True) + "\n"


def _code(source: str, outputs: list[dict[str, Any]], count: int) -> dict[str, Any]:
    return {
        "cell_type": "code",
        "execution_count": count,
        "metadata": {},
        "outputs": outputs,
        "source": _lines(source.rstrip("\n")),
    }


def _lines(text: str) -> list[str]:
    return text.splitlines(keepends=True)


def main() -> None:
    """Make all of it again."""
    parts = read(PAGE.read_text())
    made = []
    for cell, printed, figure in run(parts, {}):
        if figure is not None:
            (DOCS / cell.picture).write_bytes(png(figure))
        made.append(replace(cell, printed=printed))
    fresh = iter(made)
    parts = [next(fresh) if isinstance(part, Cell) else part for part in parts]
    PAGE.write_text(write(parts))
    NOTEBOOK.parent.mkdir(exist_ok=True)
    NOTEBOOK.write_text(notebook(parts))


if __name__ == "__main__":
    main()
