"""Pictures of one digit in MNIST's frame: from photographs, scans and arrays of all kinds."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import pytest

import thetanet
from thetanet.data.formats.picture import read_picture
from thetanet.errors import InputError
from thetanet.images.frame import to_mnist_frame

Image = pytest.importorskip("PIL.Image")


def idx(name, offset):
    with gzip.open(Path(thetanet.__file__).parent / "data" / "mnist" / name) as file:
        return np.frombuffer(file.read(), np.uint8, offset=offset)


@pytest.fixture(scope="module")
def digits():
    return idx("t10k-images-idx3-ubyte.gz", 16).reshape(-1, 28, 28)[:1000]


@pytest.fixture(scope="module")
def labels():
    return idx("t10k-labels-idx1-ubyte.gz", 8)[:1000]


@pytest.fixture(scope="module")
def classify():
    """Classify by 1,000 random hidden units and least squares: about 93% right, learnt in a second."""
    rng = np.random.default_rng(0)
    known = idx("train-images-idx3-ubyte.gz", 16).reshape(-1, 784)[:20_000]
    targets = 2 * np.eye(10, dtype=np.float32)[idx("train-labels-idx1-ubyte.gz", 8)[:20_000]] - 1
    one = (rng.standard_normal((784, 1000)) / 28).astype(np.float32)

    def hidden(images):
        return np.maximum(images.reshape(-1, 784).astype(np.float32) / 255 @ one - 0.1, 0)

    H = hidden(known)
    two = np.linalg.solve(H.T @ H + 10 * np.eye(1000, dtype=np.float32), H.T @ targets)
    return lambda images: (hidden(images) @ two).argmax(axis=1)


def scaled(image, factor, filter=Image.Resampling.BICUBIC):
    return np.asarray(
        Image.fromarray(image).resize((image.shape[1] * factor, image.shape[0] * factor), filter)
    )


def cropped(image):
    rows, columns = np.flatnonzero(image.any(axis=1)), np.flatnonzero(image.any(axis=0))
    return image[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]


def moved(image, rng):
    digit = cropped(image)
    result = np.zeros((28, 28), np.uint8)
    top, left = rng.integers(0, 29 - digit.shape[0]), rng.integers(0, 29 - digit.shape[1])
    result[top : top + digit.shape[0], left : left + digit.shape[1]] = digit
    return result


def photographed(image, rng):
    """A sheet of paper with a digit in dark ink, under light from one side, with noise."""
    image = np.pad(scaled(image, 6), ((30, 50), (15, 90)))
    v, u = (np.linspace(-1, 1, n) for n in image.shape)
    a, b = rng.uniform(-0.2, 0.2, 2)
    paper = 0.75 + a * v[:, None] + b * u - 0.1 * (v[:, None] ** 2 + u**2)
    grey = 255 * paper * (1 - 0.8 * image / 255) + rng.normal(0, 6, image.shape)
    return np.clip(grey, 0, 255).astype(np.uint8)


def framed(images, change):
    rng = np.random.default_rng(0)
    return np.array([to_mnist_frame(change(image, rng)) for image in images])


def distance(a, b):
    return np.abs(a.astype(float) - b).mean()


@pytest.mark.parametrize("as_saved", ["light on dark", "dark on light"])
def test_mnist_images_saved_as_pictures_come_out_as_they_are(digits, as_saved, tmp_path):
    path = tmp_path / "digit.png"
    for digit in digits:
        Image.fromarray(digit if as_saved == "light on dark" else 255 - digit).save(path, compress_level=0)
        assert distance(to_mnist_frame(read_picture(path)), digit) < 1


CHANGES = {
    # name: (change, largest mean distance to the original, in grey levels of 0 to 255)
    "10 times as large": (lambda x, rng: np.kron(x, np.ones((10, 10), np.uint8)), 1),
    "10 times, smoothly": (lambda x, rng: scaled(x, 10), 9),
    "10 times, two colours, dark on light": (lambda x, rng: scaled(x, 10) < 128, 8),
    "moved": (moved, 1),
    "moved, dark on light": (lambda x, rng: 255 - moved(x, rng), 1),
    "on a wide ground": (lambda x, rng: np.pad(x, rng.integers(0, 60, (2, 2))), 1),
    "cut out tightly": (lambda x, rng: cropped(x), 1.5),
    "floats": (lambda x, rng: x / 255, 1),
    "16 bits": (lambda x, rng: x.astype(np.uint16) * 257, 1),
    "faint": (lambda x, rng: (200 - 0.2 * x).astype(np.uint8), 1.5),
    "half size": (lambda x, rng: x.reshape(14, 2, 14, 2).mean(axis=(1, 3)), 17),
    "with specks": (lambda x, rng: np.maximum(scaled(x, 6), 255 * (rng.random((168, 168)) < 5e-4)), 10),
    "beside a dark table": (
        lambda x, rng: np.pad(255 - scaled(x, 8), ((0, 0), (0, 30)), constant_values=60),
        10,
    ),
    "noisy": (lambda x, rng: np.clip(x + rng.normal(20, 12, x.shape), 0, 255), 5),
    "photographed": (photographed, 12),
}


@pytest.mark.parametrize("name", CHANGES)
def test_pictures_of_all_kinds_come_to_the_same_frame_and_class(digits, labels, classify, name):
    change, limit = CHANGES[name]
    # Halving loses detail (1.4% of the classes, framed or not), which 80 digits measure too coarsely.
    count = 300 if name == "half size" else 80
    plain, truth = digits[:count], labels[:count]
    images = framed(plain, change)
    assert distance(images, plain) < limit
    assert (classify(images) == truth).mean() >= (classify(plain) == truth).mean() - 0.026


def test_the_frame_has_a_box_of_20_pixels_and_its_mass_in_the_centre(digits):
    for image in framed(digits[:40], photographed):
        assert image.dtype == np.uint8
        assert image.shape == (28, 28)
        strong = cropped(np.where(image > 50, image, 0))
        assert 18 <= max(strong.shape) <= 20
        mass = image / image.sum()
        centre = [mass.sum(axis=1) @ np.arange(28), mass.sum(axis=0) @ np.arange(28)]
        assert np.abs(np.array(centre) - 14).max() <= 0.5 + 1e-9
        assert image[0].max() == image[:, 0].max() == 0


def test_strokes_of_a_fine_pen_stay_visible():
    picture = np.full((600, 600), 255, np.uint8)
    picture[100:500, 300:302] = 0
    picture[100:102, 200:302] = 0
    image = to_mnist_frame(picture)
    column = image[image.sum(axis=1) > 0].max(axis=1)
    assert column.size == 20 or column.size == 21
    assert (image > 128).sum() >= 2 * 20  # about two pixels wide


def test_a_digit_whose_mass_lies_far_off_keeps_all_its_ink():
    picture = np.zeros((200, 200), np.uint8)
    picture[20:180, 20:60] = 255
    picture[96:104, 60:180] = 128
    image = to_mnist_frame(picture)
    assert max(cropped(image).shape) == 20


rng = np.random.default_rng(1)
slope = np.add.outer(np.linspace(100, 180, 120), np.linspace(0, 60, 150))
BLANKS = {
    "white": np.full((50, 40), 255, np.uint8),
    "black": np.zeros((28, 28), bool),
    "noise": np.clip(rng.normal(128, 15, (200, 200)), 0, 255),
    "little noise": np.clip(rng.normal(128, 15, (28, 28)), 0, 255),
    "light from the side": slope,
    "light from the side, noise": slope + rng.normal(0, 5, slope.shape),
    "next to nothing": np.pad(np.full((5, 5), 4, np.uint8), 20),
    "smallest": np.zeros((2, 2)),
}


@pytest.mark.parametrize("name", BLANKS)
def test_a_blank_picture_is_called_blank(name):
    with pytest.raises(InputError, match="blank"):
        to_mnist_frame(BLANKS[name])


@pytest.mark.parametrize(
    ("grey", "words"),
    [
        (np.zeros((28, 28, 3)), "two dimensions"),
        (np.zeros(784), "two dimensions"),
        (np.zeros((0, 5)), "at least 2 x 2"),
        (np.full((5, 5), np.nan), "NaN"),
        (np.full((5, 5), -1.0), "start at 0"),
        (np.full((5, 5), 256.0), "within 0 to 1 or 0 to 255"),
        (np.full((5, 5), 65536), "0 to 65535"),
        (np.zeros((5, 5), complex), "complex"),
        (np.full((5, 5), "a"), "numbers"),
    ],
)
def test_what_is_no_grey_picture_is_refused(grey, words):
    with pytest.raises(InputError, match=words):
        to_mnist_frame(grey)


def test_floats_may_overshoot_1_a_little(digits):
    """As those of a resized picture do."""
    for share in (1.0001, 1.05):
        np.testing.assert_array_equal(to_mnist_frame(digits[0] / 255 * share) > 100, digits[0] * share > 100)


def test_a_fully_transparent_picture_is_blank(tmp_path):
    Image.new("RGBA", (30, 30), (0, 0, 0, 0)).save(tmp_path / "nothing.png")
    with pytest.raises(InputError, match="blank"):
        to_mnist_frame(read_picture(tmp_path / "nothing.png"))
