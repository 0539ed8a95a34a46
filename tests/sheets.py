"""Sheets of handwritten numbers, made from single digits, with the text that is on them.

Every sheet is a function of level, seed and digits. Used by tests/test_reading.py and benchmarks/sheets.py.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from PIL import Image
from scipy import ndimage

LEVELS = ("clean", "hard", "touching", "lined", "stains")
SIZES = 28, 90  # the longer side of a digit, pixels
MARGIN = 40


@dataclass(frozen=True)
class Sheet:
    """A grey picture (H, W) uint8, and the lines of numbers on it; numbers are separated by one space.

    `owner` (H, W) numbers the digits from 1 in the order of reading; 0 is paper.
    """

    grey: np.ndarray
    lines: list[str]
    owner: np.ndarray

    @property
    def text(self):
        return "\n".join(self.lines)


def make_sheet(level, seed, images, labels):
    """Return a sheet of 2 to 6 lines; images (n, 28, 28) uint8, labels (n,)."""
    if level not in LEVELS:
        raise ValueError(f"level={level!r}: there are {LEVELS}")
    rng = np.random.default_rng([LEVELS.index(level), seed])
    rows, lines, count = [], [], 0
    size = np.exp(rng.uniform(*np.log(SIZES)))  # of the whole sheet; lines differ by up to a third
    for _ in range(rng.integers(2, 7)):
        own = float(np.clip(size * rng.uniform(0.75, 1.33), *SIZES))
        row, text = _line(rng, own, images, labels, count, touching=level == "touching")
        rows.append(row)
        lines.append(text)
        count += sum(c.isdigit() for c in text)
    ink, owner = _page(rng, rows)
    if level == "hard":
        angle = rng.uniform(-10, 10)
        ink, owner = _turned(ink, angle), _turned(owner, angle, order=0)
    shade = np.ones_like(ink)
    if level == "lined":
        shade, angle = _ruling(rng, ink.shape), rng.uniform(-2, 2)
        shade = 1 - _turned(1 - shade, angle)
        ink, owner = _turned(ink, angle), _turned(owner, angle, order=0)
    elif level == "stains":
        shade = _stains(rng, ink.shape)
    grey = rng.uniform(200, 250) * shade * (1 - ink)
    if level == "hard":
        grey = grey * _light(rng, ink.shape) * _texture(rng, ink.shape) + rng.normal(
            0, rng.uniform(2, 8), ink.shape
        )
    else:
        grey = grey + rng.normal(0, rng.uniform(0, 2), ink.shape)
    return Sheet(np.clip(np.rint(grey), 0, 255).astype(np.uint8), lines, owner.astype(np.int16))


def share_right(sheet, text):
    """Return (digits on the sheet, Levenshtein distance of the texts, line breaks and spaces counted)."""
    return sum(c.isdigit() for c in sheet.text), edit_distance(sheet.text, text)


def edit_distance(a, b):
    """Return Levenshtein's distance: insertions, deletions and replacements, each costs 1."""
    row = list(range(len(b) + 1))
    for i, x in enumerate(a, 1):
        last, row[0] = row[0], i
        for j, y in enumerate(b, 1):
            last, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, last + (x != y))
    return row[-1]


def _digit(image, size):
    """Return one digit as ink of 0..1, cut out, its longer side `size` pixels, with the edges of a pen."""
    rows, columns = np.flatnonzero(image.any(axis=1)), np.flatnonzero(image.any(axis=0))
    cut = image[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    scale = size / max(cut.shape)
    height, width = (max(2, round(n * scale)) for n in cut.shape)
    large = np.asarray(Image.fromarray(cut).resize((width, height), Image.Resampling.BICUBIC), float) / 255
    steep = max(1.0, 0.6 * scale)  # MNIST's edges are a pixel wide; enlarged they would be a blur
    return np.clip((large - 0.5) * steep + 0.5, 0, 1)


def _line(rng, size, images, labels, count, touching):
    """Return one line of one to three numbers as ((ink, owner), text); `count` digits have come before."""
    dark, sway = rng.uniform(0.45, 0.95), rng.uniform(0, 0.12)
    canvas = np.zeros((round(2.2 * size), round(40 * size)))
    owner = np.zeros_like(canvas)
    x, text = 0, []
    for number in range(rng.integers(1, 4)):
        x += round(size * rng.uniform(1.3, 2.2)) if number else 0
        chosen = rng.integers(0, len(images), rng.integers(1, 8))
        for place, k in enumerate(chosen):
            glyph = dark * _digit(images[k], size * rng.uniform(0.9, 1.1))
            h, w = glyph.shape
            top = min(max(0, round(1.6 * size - h + size * rng.uniform(-sway, sway))), len(canvas) - h)
            if place and touching and rng.random() < 0.6:
                x = _contact(canvas[top : top + h], glyph, x) - round(size * rng.uniform(0, 0.06))
            elif place:
                x += round(size * rng.uniform(0.08, 0.4))
            x = max(0, x)
            where = slice(top, top + h), slice(x, x + w)
            count += 1
            owner[where] = np.where(glyph > np.maximum(canvas[where], 0.5 * dark), count, owner[where])
            canvas[where] = np.maximum(canvas[where], glyph)
            x += w
        text.append("".join(str(int(labels[k])) for k in chosen))
    used = np.flatnonzero(canvas.any(axis=1))
    return np.stack([canvas, owner])[:, used[0] : used[-1] + 1, :x], " ".join(text)


def _contact(canvas, glyph, x):
    """Return where the glyph must begin so that its ink just meets the ink left of x."""
    wide = np.arange(canvas.shape[1])
    solid, own = canvas[:, : x + 1] > 0.2, glyph > 0.2
    last = np.where(solid.any(axis=1), solid.shape[1] - 1 - solid[:, ::-1].argmax(axis=1), -(10**6))
    first = np.where(own.any(axis=1), own.argmax(axis=1), 10**6)
    gap = int((first - last).min())
    return max(0, min(x, 1 - gap)) if gap < wide.size else x


def _page(rng, rows):
    width = 2 * MARGIN + max(row.shape[2] for row in rows)
    parts = [np.zeros((2, MARGIN, width))]
    for row in rows:
        _, height, wide = row.shape
        left = MARGIN + round(rng.uniform(0, 0.5) * (width - 2 * MARGIN - wide))
        strip = np.zeros((2, height + round(height * rng.uniform(0.3, 0.9)), width))
        strip[:, :height, left : left + wide] = row
        parts.append(strip)
    return np.concatenate([*parts, np.zeros((2, MARGIN // 2, width))], axis=1)


def _turned(picture, degrees, order=1):
    return ndimage.rotate(picture, degrees, order=order, reshape=True)


def _light(rng, shape):
    """Return light from one side, and the soft edge of a shadow."""
    v, u = np.meshgrid(*(np.linspace(-1, 1, n) for n in shape), indexing="ij")
    a, b = rng.uniform(-0.25, 0.25, 2)
    angle, place = rng.uniform(0, 2 * np.pi), rng.uniform(-0.7, 0.7)
    edge = (np.cos(angle) * u + np.sin(angle) * v - place) / rng.uniform(0.03, 0.4)
    shadow = 1 - rng.uniform(0.1, 0.45) / (1 + np.exp(-np.clip(edge, -50, 50)))
    return np.clip(0.85 + a * u + b * v, 0.3, 1) * shadow


def _texture(rng, shape):
    """Return the grain of paper, fibres of 1 to 3 pixels and clouds of 10."""
    grain = np.ones(shape)
    for sigma, most in ((rng.uniform(0.8, 3), 0.03), (10, 0.02)):
        noise = ndimage.gaussian_filter(rng.normal(0, 1, shape), sigma)
        grain += rng.uniform(0.3, 1) * most * noise / noise.std()
    return grain


def _ruling(rng, shape):
    """Return ruled paper; one sheet in three is squared."""
    shade = np.ones(shape)
    step, thick, dark = rng.uniform(25, 110), rng.integers(1, 4), rng.uniform(0.12, 0.45)
    for axis in (0, 1) if rng.random() < 1 / 3 else (0,):
        for place in np.arange(rng.uniform(0, step), shape[axis], step):
            index = [slice(None), slice(None)]
            index[axis] = slice(int(place), int(place) + int(thick))
            shade[tuple(index)] = 1 - dark
    return shade


def _stains(rng, shape):
    """Return rings of cups, blots with darker rims, and splashes."""
    v, u = np.mgrid[: shape[0], : shape[1]].astype(float)
    shade = np.ones(shape)

    def distances():
        y, x = rng.uniform(0, shape[0]), rng.uniform(0, shape[1])
        around = np.arctan2(v - y, u - x)
        wobble = (
            1 + 0.05 * np.sin(2 * around + rng.uniform(0, 6)) + 0.03 * np.sin(5 * around + rng.uniform(0, 6))
        )
        return np.hypot(v - y, u - x) * wobble, around

    for _ in range(rng.integers(1, 4)):
        r, around = distances()
        radius, width, dark = rng.uniform(50, 180), rng.uniform(2, 7), rng.uniform(0.12, 0.4)
        worn = 0.65 + 0.35 * np.sin(around + rng.uniform(0, 6))
        shade *= 1 - dark * worn * np.exp(-(((r - radius) / width) ** 2))
    for _ in range(rng.integers(1, 6)):
        r, _ = distances()
        radius, dark = rng.uniform(8, 60), rng.uniform(0.08, 0.35)
        inside = 1 / (1 + np.exp(np.clip((r - radius) / 1.5, -50, 50)))
        shade *= 1 - dark * inside * (0.7 + 0.3 * np.exp(-(((r - radius) / 4) ** 2)))
    for _ in range(rng.integers(0, 8)):
        r, _ = distances()
        shade *= 1 - rng.uniform(0.2, 0.7) / (1 + np.exp(np.clip(r - rng.uniform(1, 4), -50, 50)))
    return shade
