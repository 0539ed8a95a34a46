"""The guided tour, docs/alive.md: its cells print what the page shows, and the notebook is the page."""

import json
import re
import runpy
from pathlib import Path

import numpy as np
import pytest
from threadpoolctl import threadpool_limits

ROOT = Path(__file__).parent.parent
MAKE = runpy.run_path(str(ROOT / "docs" / "make_alive.py"))
PAGE = (ROOT / "docs" / "alive.md").read_text()
PARTS = MAKE["read"](PAGE)
CELLS = [part for part in PARTS if isinstance(part, MAKE["Cell"])]
NOTEBOOK = (ROOT / "examples" / "alive.ipynb").read_text()
AGAIN = "python docs/make_alive.py makes page, pictures and notebook again"


def test_the_cells_print_what_the_page_shows():
    options, names = np.get_printoptions(), {}
    try:
        with threadpool_limits(1):  # beside another busy process, more threads are slower by far
            for cell, printed, figure in MAKE["run"](PARTS, names):
                assert printed == cell.printed, f"{cell.source}\n{AGAIN}"
                if figure is not None:
                    assert MAKE["png"](figure).startswith(b"\x89PNG")
            # A reader goes back: the first seven sections still print the same after the rest has run.
            until = PAGE.index("## 8. ")
            for cell, printed, _ in MAKE["run"](MAKE["read"](PAGE[:until]), names):
                assert printed == cell.printed, f"{cell.source}\na later cell has changed what this one uses"
    finally:
        np.set_printoptions(**options)


def test_the_notebook_is_the_page():
    assert MAKE["notebook"](PARTS) == NOTEBOOK, AGAIN
    assert MAKE["write"](PARTS) == PAGE
    assert len(NOTEBOOK) < 300_000


def test_the_notebook_is_one_that_jupyter_opens():
    """The rules of notebook format 4.5 for the kinds of cells and outputs that are there."""
    book = json.loads(NOTEBOOK)
    assert (book["nbformat"], book["nbformat_minor"]) == (4, 5)
    assert book["metadata"]["kernelspec"]["name"] == "python3"
    ids = [cell["id"] for cell in book["cells"]]
    assert len(set(ids)) == len(ids)
    assert all(re.fullmatch(r"[a-zA-Z0-9_-]{1,64}", name) for name in ids)
    for cell in book["cells"]:
        common = {"id", "cell_type", "metadata", "source"}
        code = {"execution_count", "outputs"} if cell["cell_type"] == "code" else set()
        assert cell["cell_type"] in ("code", "markdown")
        assert set(cell) == common | code
        assert "".join(cell["source"]).strip()
        for output in cell.get("outputs", []):
            kind = output["output_type"]
            keys = {"stream": {"name", "text"}, "display_data": {"data", "metadata"}}[kind]
            assert set(output) == keys | {"output_type"}
    codes = [cell for cell in book["cells"] if cell["cell_type"] == "code"]
    assert [cell["execution_count"] for cell in codes] == list(range(1, len(CELLS) + 1))
    assert ["".join(cell["source"]) for cell in codes] == [cell.source.rstrip("\n") for cell in CELLS]


@pytest.mark.parametrize("name", ["docs/alive.md", "examples/alive.ipynb"])
def test_links_and_pictures_lead_somewhere(name):
    path = ROOT / name
    text = path.read_text()
    links = [link for link in re.findall(r"\]\(([^)\s\"]+)\)", text) if not link.startswith("http")]
    assert links
    for link in links:
        assert (path.parent / link).exists(), link
    for cell in CELLS:
        if cell.picture:
            assert (ROOT / "docs" / cell.picture).stat().st_size < 40_000
            assert len(cell.alternative) > 10


def test_formulas_survive_markdown():
    """GitHub reads Markdown before formulas, Jupyter does not: formulas must look like no Markdown.

    A backslash before punctuation is an escape, and an underscore between punctuation starts emphasis.
    """
    prose = "".join(part.source for part in PARTS if not isinstance(part, MAKE["Cell"]))
    formulas = re.findall(r"\$\$.+?\$\$|\$[^$]+?\$", re.sub(r"`[^`]*`", "", prose))
    assert len(formulas) > 100
    for formula in formulas:
        assert "\n" not in formula, formula
        assert not re.search(r"\\[^a-zA-Z]", formula), formula
        assert not re.search(r"[^a-zA-Z0-9]_", formula), formula
        assert not re.search(r"[*<>]", formula), formula
        assert formula.count("{") == formula.count("}"), formula
