"""The picture of the page in the README: `python benchmarks/screenshot.py` draws a 3 and writes docs/page.png."""

import io
import sys
from pathlib import Path

import numpy as np
from PIL import Image

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "tests"))

from serving import browser, server, small_data  # noqa: E402

UPPER = [(140 + 48 * np.cos(t), 98 + 42 * np.sin(t)) for t in np.linspace(-2.6, 1.7, 20)]
LOWER = [(140 + 56 * np.cos(t), 186 + 50 * np.sin(t)) for t in np.linspace(-1.6, 2.6, 20)]


def main():
    (ROOT / "build").mkdir(exist_ok=True)
    with server(small_data(ROOT / "build" / "page-data.npz")) as served, browser() as chromium:
        page = chromium.new_context(viewport={"width": 1240, "height": 1020}).new_page()
        page.goto(served.address)
        page.wait_for_selector("#model:has-text('hidden units')")
        box = page.locator("#canvas").bounding_box()
        size = box["width"] / 280
        places = [(box["x"] + x * size, box["y"] + y * size) for x, y in [*UPPER, *LOWER]]
        page.mouse.move(*places[0])
        page.mouse.down()
        for place in places[1:]:
            page.mouse.move(*place, steps=3)
        page.mouse.up()
        page.wait_for_timeout(900)
        shot = Image.open(io.BytesIO(page.screenshot()))
    small = shot.convert("RGB").quantize(128, dither=Image.Dither.NONE)
    small.save(ROOT / "docs" / "page.png", optimize=True)


if __name__ == "__main__":
    main()
