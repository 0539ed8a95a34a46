"""Numbers on sheets: how many digits `thetanet read` gets right, in the right order.

`python benchmarks/sheets.py [SHEETS]` makes that many sheets a level (200) from MNIST's test digits and reads them.
right = (N - d) / N: N digits on the sheets, d the Levenshtein distance between the expected and the read text, lines
joined by line breaks, numbers by spaces; a missing space or line counts as much as a wrong digit. Writes
benchmarks/results/sheets.json.
"""

import importlib.util
import json
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np

from thetanet import load_mnist
from thetanet.models.fitted import FittedNetwork
from thetanet.models.pretrained import load_pretrained_model
from thetanet.reading import read_numbers

ROOT = Path(__file__).parents[1]
RESULTS = Path(__file__).parent / "results" / "sheets.json"

# Both this file and the generator of the tests are called sheets.py.
_spec = importlib.util.spec_from_file_location("test_sheets", ROOT / "tests" / "sheets.py")
sheets = importlib.util.module_from_spec(_spec)
sys.modules["test_sheets"] = sheets
_spec.loader.exec_module(sheets)


def measured(level, seeds):
    _, _, X, y = load_mnist()
    X, net = X.reshape(-1, 28, 28), FittedNetwork.from_model(load_pretrained_model())
    found = []
    for seed in seeds:
        sheet = sheets.make_sheet(level, seed, X, y)
        start = time.perf_counter()
        text = read_numbers(sheet.grey, net).text
        seconds = time.perf_counter() - start
        digits, wrong = sheets.share_right(sheet, text)
        bare = sheets.edit_distance("".join(sheet.text.split()), "".join(text.split()))
        found.append((digits, wrong, bare, sheet.grey.size / 1e6, seconds))
    return found


def main(count=200, workers=2):
    table = {}
    for level in sheets.LEVELS:
        rows = []
        with ProcessPoolExecutor(workers) as pool:
            chunks = [range(k, min(k + 5, count)) for k in range(0, count, 5)]
            for part in pool.map(measured, [level] * len(chunks), chunks):
                rows += part
                print(f"\r{level}: {len(rows)} of {count} ", end="", flush=True)
        digits, wrong, bare, pixels, seconds = np.array(rows).T
        table[level] = {
            "sheets": len(rows),
            "digits": int(digits.sum()),
            "right": round(1 - wrong.sum() / digits.sum(), 4),
            "right without spaces and lines": round(1 - bare.sum() / digits.sum(), 4),
            "sheets without a mistake": round(float((wrong == 0).mean()), 4),
            "seconds a sheet, median": round(float(np.median(seconds)), 3),
            "seconds a sheet, longest": round(float(seconds.max()), 3),
            "megapixels, mean": round(float(pixels.mean()), 3),
        }
        print(f"\r{level}: right {table[level]['right']:.2%}".ljust(40), flush=True)
        RESULTS.write_text(json.dumps(table, indent=1) + "\n")
    print("\n| level | digits | right | digits alone | sheets without a mistake | seconds a sheet |")
    print("| --- | ---: | ---: | ---: | ---: | ---: |")
    for level, row in table.items():
        print(
            f"| {level} | {row['digits']:,} | {row['right']:.2%} | {row['right without spaces and lines']:.2%} | "
            f"{row['sheets without a mistake']:.1%} | {row['seconds a sheet, median']:.2f} |"
        )


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
