"""Elements of an HTML page that needs no other file; texts and attributes are escaped."""

from __future__ import annotations

import html
from collections.abc import Iterable, Sequence
from importlib import resources
from typing import Any

_VOID = {"img", "meta", "link"}
# Control characters are not allowed in HTML, and texts of a model may hold any.
_CONTROLS = dict.fromkeys([*range(9), 11, *range(12, 32), 127], "\ufffd")
# The page sends no request and runs no script, whatever the texts of a model are.
_POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"


class Html(str):
    """Text that is markup already; every other text is escaped where it enters an element."""

    __slots__ = ()


def element(name: str, /, *children: Any, **attributes: Any) -> Html:
    """Return an element; children that are not Html are escaped, as are all attributes. None is left out.

    Names of attributes may end in an underscore (class_), others become hyphens (aria_label).
    """
    named = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{_escape(value)}"'
        for key, value in attributes.items()
        if value is not None
    )
    return Html(f"<{name}{named}>" + ("" if name in _VOID else f"{join_children(children)}</{name}>"))


def join_children(children: Iterable[Any]) -> Html:
    """Return the children one after the other; those that are not Html are escaped."""
    return Html(
        "".join(
            child if isinstance(child, Html) else _escape(child) for child in children if child is not None
        )
    )


def _escape(value: Any) -> str:
    return html.escape(str(value).translate(_CONTROLS))


def table(
    caption: Any, headings: Sequence[Any], rows: Iterable[Sequence[Any]], class_: str | None = None
) -> Html:
    """Return a table; the first cell of each row is its heading. What is too wide scrolls by itself.

    Cells that are tuples are (content, attributes); a column of class "text" is aligned to the left.
    """
    rows = list(rows)
    texts = [isinstance(cell, tuple) and cell[1].get("class_") == "text" for cell in (rows or [()])[0]]
    head = element(
        "tr",
        *(
            element("th", heading, scope="col", class_="text" if text else None)
            for heading, text in zip(headings, texts or [False] * len(headings), strict=False)
        ),
    )
    body = []
    for first, *others in rows:
        cells = [element("th", first, scope="row")]
        for cell in others:
            content, attributes = cell if isinstance(cell, tuple) else (cell, {})
            cells.append(element("td", content, **attributes))
        body.append(element("tr", *cells))
    content = element(
        "table",
        element("caption", caption),
        element("thead", head) if headings else None,
        element("tbody", *body),
        class_=class_,
    )
    return element("div", content, class_="scroll", role="group", tabindex=0, aria_label=caption)


def facts_table(caption: str, rows: Iterable[tuple[Any, Any]]) -> Html:
    """Return a table of names and values; what has no value is left out."""
    return table(caption, (), [row for row in rows if row[1] is not None], class_="facts")


def svg_figure(svg: str, alt: str, caption: Any = None) -> Html:
    """Return a figure around an <svg> element, which is named `alt` for those who do not see it."""
    labelled = svg.replace("<svg ", f'<svg role="img" aria-label="{_escape(alt)}" ', 1)
    return element("figure", Html(labelled), None if caption is None else element("figcaption", caption))


def image_figure(source: str, alt: str, caption: Any = None) -> Html:
    """Return a figure around an image in a data: address."""
    image = element("img", src=source, alt=alt)
    return element(
        "figure", image, None if caption is None else element("figcaption", caption), class_="plate"
    )


def section(identifier: str, heading: str, *children: Any) -> Html:
    """Return a section of the page."""
    return element("section", element("h2", heading, id=identifier), *children)


def page(title: str, *children: Any) -> str:
    """Return the page as a text; its style is that of page.css."""
    style = (resources.files("thetanet.report") / "page.css").read_text("utf-8")
    head = element(
        "head",
        element("meta", charset="utf-8"),
        element("meta", http_equiv="Content-Security-Policy", content=_POLICY),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("meta", name="color-scheme", content="light dark"),
        element("link", rel="icon", href="data:,"),
        element("title", title),
        Html(f"<style>{style}</style>"),
    )
    return "<!DOCTYPE html>\n" + element("html", head, element("body", *children), lang="en") + "\n"
