"""The page in Chromium: the forward pass, frames a second while drawing, the first view. Part of `make bench`.

`python benchmarks/page.py` prints the medians and writes benchmarks/results/page.json. Needs Chromium and the extras
[web] and [test].
"""

import json
import math
import statistics
import sys
import time
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "tests"))

from serving import browser, server, small_data  # noqa: E402

RESULTS = Path(__file__).parent / "results" / "page.json"

FORWARD = """async () => {
  const { Network } = await import("/network.js");
  const D_I = 784, D_H = 800, D_O = 10;
  const random = (n) => Float64Array.from({ length: n }, () => Math.random() - 0.5);
  const network = new Network(random((D_I + 1) * D_H), random((D_H + 1) * D_O), D_I, D_H, D_O);
  const rows = Array.from({ length: 200 }, (_, n) => n).join(",");
  const images = new Uint8Array(await (await fetch(`/api/test-images?rows=${rows}`)).arrayBuffer());
  const digits = Array.from({ length: 200 }, (_, n) => Float64Array.from(images.subarray(784 * n, 784 * (n + 1)), (v) => v / 255));
  for (const X of digits) network.forward(X);
  return digits.map((X) => {
    const began = performance.now();
    for (let n = 0; n < 5; n++) network.forward(X);
    return (performance.now() - began) / 5;
  });
}"""

WATCH = """() => {
  window.frames_seen = [];
  const look = (now) => { window.frames_seen.push(now); requestAnimationFrame(look); };
  requestAnimationFrame(look);
}"""


def opened(chromium, address):
    """A page with nothing cached, and milliseconds to its first paint and until the network is there."""
    page = chromium.new_context(viewport={"width": 1280, "height": 900}).new_page()
    began = time.perf_counter()
    page.goto(address)
    page.wait_for_selector("#model:has-text('hidden units')")
    ready = 1000 * (time.perf_counter() - began)
    paint = page.evaluate("() => performance.getEntriesByName('first-contentful-paint')[0].startTime")
    return page, paint, ready


def frames_while_drawing(page, seconds=3.0):
    box = page.locator("#canvas").bounding_box()
    middle = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    page.mouse.move(*middle)
    page.mouse.down()
    page.evaluate("() => { window.frames_seen.length = 0; }")
    began, n = time.perf_counter(), 0
    while time.perf_counter() - began < seconds:
        n += 1
        angle, size = n / 20, 0.3 * box["width"]
        page.mouse.move(middle[0] + size * math.cos(angle), middle[1] + size * math.sin(angle))
    page.mouse.up()
    seen = page.evaluate("() => window.frames_seen")
    return 1000 * (len(seen) - 1) / (seen[-1] - seen[0])


def main():
    data = small_data(ROOT / "build" / "page-data.npz")
    with server(data) as served, browser() as chromium:
        visits = [opened(chromium, served.address) for _ in range(7)]
        page = visits[-1][0]
        page.evaluate(WATCH)
        found = {
            "first paint, ms": statistics.median(paint for _, paint, _ in visits),
            "network there, ms": statistics.median(ready for _, _, ready in visits),
            "forward pass 784-800-10, ms": statistics.median(page.evaluate(FORWARD)),
            "frames a second while drawing": statistics.median(frames_while_drawing(page) for _ in range(3)),
            "bytes of the page": sum(
                p.stat().st_size for p in (ROOT / "src/thetanet/web/page").rglob("*") if p.is_file()
            ),
        }
    for name, value in found.items():
        print(f"{name}: {value:,.2f}")
    RESULTS.write_text(json.dumps({name: round(value, 3) for name, value in found.items()}, indent=1) + "\n")


if __name__ == "__main__":
    (ROOT / "build").mkdir(exist_ok=True)
    main()
