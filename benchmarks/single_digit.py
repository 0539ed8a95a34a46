"""The network that says whether a frame shows one whole digit, for `thetanet read`: its samples, its training.

`python benchmarks/single_digit.py [SHEETS]` makes sheets of the first 50,000 training images, divides them as the reader
does, calls a candidate whole if it is nearly all of one digit and nearly nothing else, adds the plain images,
trains, measures on sheets of the last 10,000 training images, and writes src/thetanet/reading/single_digit.safetensors. Test images are not read.
"""

import sys
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np
from scipy import ndimage

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from sheets import Sheet, make_sheet
from thetanet import Adam, ThetaNetClassifier
from thetanet.data.mnist import load_mnist_training
from thetanet.reading import deskew_page, find_lines
from thetanet.reading.components import estimate_height, make_frame
from thetanet.reading.cuts import find_cuts
from thetanet.reading.recognition import may_be_touching
from thetanet.reading.segmentation import generate_candidates, list_boundaries
from thetanet.reading.skew import unrotate_points

MODEL = Path(__file__).parents[1] / "src" / "thetanet" / "reading" / "single_digit.safetensors"
ROUND = (
    "touching",
    "hard",
    "touching",
    "lined",
    "touching",
    "stains",
    "touching",
    "clean",
    "touching",
    "garbage",
)
FIT = slice(0, 50_000)
HELD_OUT = slice(50_000, 60_000)
# More epochs learn the digits of the sheets by heart: after 12 (300 units) a quarter of new digits was called parts.
SETTINGS = {"hidden": 200, "epochs": 5, "descent": Adam(learning_rate=0.01), "random_state": 0}
WEIGHT = 2.5  # of frames that are whole


def garbage(rng):
    """Return a page without a digit: noise of all scales, clouds, fibres, rectangles."""
    height, width = rng.integers(150, 500, 2)
    kind, noise = rng.integers(4), rng.normal(0, 1, (height, width))
    if kind == 0:
        noise = ndimage.gaussian_filter(noise, rng.uniform(0.5, 8))
    elif kind == 1:
        rate = np.hypot(*np.meshgrid(np.fft.fftfreq(height), np.fft.fftfreq(width), indexing="ij"))
        rate[0, 0] = 1
        noise = np.fft.ifft2(np.fft.fft2(noise) / rate ** rng.uniform(0.6, 1.6)).real
    elif kind == 2:
        noise = ndimage.gaussian_filter(noise, (rng.uniform(0.5, 8), rng.uniform(0.5, 8)))
    else:
        noise = np.zeros((height, width))
        for _ in range(rng.integers(3, 40)):
            top, left = rng.integers(0, height), rng.integers(0, width)
            tall, wide = rng.integers(5, 90, 2)
            noise[top : top + tall, left : left + wide] = rng.normal()
        noise = ndimage.gaussian_filter(noise, rng.uniform(0.5, 2))
    noise = (noise - noise.mean()) / (noise.std() + 1e-9)
    grey = np.clip(150 + noise * rng.uniform(10, 60), 0, 255).astype(np.uint8)
    return Sheet(grey, [], np.zeros((height, width), np.int16))


def labelled(sheet):
    """Return frames (n, 28, 28) of the sheet's candidates, and 1 (whole), 0 (not) or -1 (in between) for each."""
    levels = sheet.grey.astype(np.float32) / 255
    page, degrees, factor = deskew_page(levels)
    shape = tuple(-(-n // factor) for n in levels.shape)
    total = np.bincount(sheet.owner.ravel(), minlength=2)
    frames, whole = [], []
    for components in find_lines(page):
        height = estimate_height(components)
        cuts = [
            find_cuts(component.mask, height, page.stroke) if may_be_touching(component, height) else []
            for component in components
        ]
        for candidate in generate_candidates(components, list_boundaries(cuts), height, 20_000):
            if not np.isfinite(candidate.cost):
                continue
            places = np.argwhere(candidate.mask) + np.array([candidate.box.top, candidate.box.left])
            places = np.rint(unrotate_points(places, shape, degrees) * factor + (factor - 1) / 2).astype(int)
            places = places[((places >= 0) & (places < sheet.owner.shape)).all(axis=1)]
            counts = np.bincount(sheet.owner[tuple(places.T)], minlength=len(total)) * factor**2
            k = 1 + int(counts[1:].argmax())
            pure, clean = counts[k] / max(1, counts[1:].sum()), counts[k] / max(1, counts.sum())
            cover = counts[k] / max(1, total[k])
            if pure > 0.93 and cover > 0.85 and clean > 0.5:
                whole.append(1)
            else:
                whole.append(0 if pure < 0.85 or cover < 0.7 or clean < 0.4 else -1)
            frames.append(make_frame(page, candidate.box, candidate.mask))
    return np.array(frames, np.uint8).reshape(-1, 28, 28), np.array(whole)


def samples(seeds, images, labels):
    """Return frames (n, 784) and whether each is whole, at most three that are not for one that is."""
    X, y = [np.zeros((0, 784), np.uint8)], [np.zeros(0, int)]
    for seed in seeds:
        rng = np.random.default_rng(seed)
        level = ROUND[seed % len(ROUND)]
        sheet = garbage(rng) if level == "garbage" else make_sheet(level, seed, images, labels)
        if sheet.grey.size > 1_200_000:
            continue
        frames, whole = labelled(sheet)
        yes, no = np.flatnonzero(whole == 1), np.flatnonzero(whole == 0)
        chosen = np.array([*yes, *rng.permutation(no)[: 3 * len(yes) + 100]], dtype=int)
        X.append(frames[chosen].reshape(-1, 784))
        y.append(whole[chosen])
    return np.concatenate(X), np.concatenate(y)


def part(name, seeds):
    X, y = load_mnist_training()
    return samples(seeds, X[name].reshape(-1, 28, 28), y[name])


def gathered(name, seeds, workers=2):
    with ProcessPoolExecutor(workers) as pool:
        chunks = [seeds[k : k + 10] for k in range(0, len(seeds), 10)]
        parts, start = [], time.perf_counter()
        for done, found in enumerate(pool.map(part, [name] * len(chunks), chunks), 1):
            parts.append(found)
            seconds = time.perf_counter() - start
            print(f"\r{10 * done} of {len(seeds)} sheets, {seconds:.0f} s ", end="", flush=True)
    print()
    return tuple(np.concatenate(column) for column in zip(*parts, strict=True))


def main(sheets=400):
    X, y = gathered(FIT, range(100_000, 100_000 + sheets))
    X_held, y_held = gathered(HELD_OUT, range(200_000, 200_000 + max(10, sheets // 10)))
    plain = load_mnist_training()[0][FIT].reshape(-1, 784)
    X_fit, y_fit = np.concatenate([X, plain]), np.concatenate([y, np.ones(len(plain), int)])
    net = ThetaNetClassifier(**SETTINGS).fit(X_fit, y_fit, np.where(y_fit == 1, WEIGHT, 1.0))
    for name, (A, b) in {"trained on": (X, y), "held out": (X_held, y_held)}.items():
        print(f"{name}: {len(b):,} candidates, {b.mean():.1%} whole, {net.score(A, b):.2%} right")
    net.save(MODEL, dtype="float16")
    print(f"{MODEL}: {MODEL.stat().st_size:,} bytes")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
