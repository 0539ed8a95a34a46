from __future__ import annotations

import contextlib
import gzip
import sys
import zlib
from pathlib import Path

import numpy as np
import pytest

import thetanet
from thetanet.errors import DataFileError, InputError, MissingExtraError
from thetanet.images.picture import read_picture, to_mnist_frame

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


# ------------------------------------------------------------------ the frame


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


# ------------------------------------------------------------------ reading


@pytest.fixture(scope="module")
def stroke():
    """A 7 of 60 x 40 pixels: True where the ink is."""
    ink = np.zeros((60, 40), bool)
    ink[10:16, 8:32] = True
    for row in range(16, 52):
        left = 26 - (row - 16) // 3
        ink[row, left : left + 6] = True
    return ink


def reread(array, path, mode=None, **options):
    image = Image.fromarray(np.asarray(array))
    (image if mode is None else image.convert(mode)).save(path, **options)
    return read_picture(path)


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "I;16"])
@pytest.mark.parametrize("ending", ["png", "tif"])
def test_every_kind_of_pixel_gives_the_same_grey(stroke, mode, ending, tmp_path):
    grey = np.where(stroke, 0, 255).astype(np.uint8)
    path = tmp_path / f"seven.{ending}"
    if mode == "I;16":
        again = reread(grey.astype(np.uint16) * 257, path)
    elif (mode, ending) == ("P", "tif"):
        again = reread(np.stack([grey] * 3, axis=-1), path, "P")
    else:
        again = reread(grey, path, mode)
    assert again.dtype == np.uint8
    np.testing.assert_array_equal(again, grey)


@pytest.mark.parametrize(
    "options",
    [{}, *({"format": name} for name in ("JPEG", "GIF", "BMP", "MPO", "PPM", "TGA", "JPEG2000", "WEBP"))],
)
def test_other_formats_are_read_by_content_not_by_name(stroke, options, tmp_path):
    grey = np.where(stroke, 0, 255).astype(np.uint8)
    assert distance(reread(grey, tmp_path / "seven.png", **options), grey) < 3


@pytest.mark.parametrize("strokes", [0, 255])
@pytest.mark.parametrize("hidden", [0, 255])
@pytest.mark.parametrize("mode", ["LA", "RGBA"])
def test_strokes_on_a_transparent_ground_stay_visible(stroke, strokes, hidden, mode, tmp_path):
    image = Image.fromarray(np.where(stroke, strokes, hidden).astype(np.uint8)).convert(mode)
    image.putalpha(Image.fromarray(np.where(stroke, 255, 0).astype(np.uint8)))
    image.save(tmp_path / "seven.png")
    np.testing.assert_array_equal(
        read_picture(tmp_path / "seven.png"), np.where(stroke, strokes, 255 - strokes)
    )


@pytest.mark.parametrize(("paper", "ink"), [(255, 0), (0, 255)])
def test_transparent_corners_of_a_sheet_take_the_colour_of_the_paper(stroke, paper, ink, tmp_path):
    image = Image.fromarray(np.where(stroke, ink, paper).astype(np.uint8)).convert("RGBA")
    alpha = np.full(stroke.shape, 255, np.uint8)
    alpha[:6, :6] = alpha[-6:, -6:] = 0
    image.putalpha(Image.fromarray(alpha))
    image.save(tmp_path / "seven.png")
    np.testing.assert_array_equal(read_picture(tmp_path / "seven.png"), np.where(stroke, ink, paper))


def test_a_palette_with_a_transparent_entry(stroke, tmp_path):
    image = Image.fromarray(np.where(stroke, 1, 0).astype(np.uint8)).convert("P")
    image.putpalette([0, 0, 0, 255, 255, 255])
    image.save(tmp_path / "seven.png", transparency=0)
    np.testing.assert_array_equal(read_picture(tmp_path / "seven.png"), np.where(stroke, 255, 0))


def test_a_fully_transparent_picture_is_blank(tmp_path):
    Image.new("RGBA", (30, 30), (0, 0, 0, 0)).save(tmp_path / "nothing.png")
    with pytest.raises(InputError, match="blank"):
        to_mnist_frame(read_picture(tmp_path / "nothing.png"))


def test_the_orientation_of_the_camera_is_obeyed(stroke, tmp_path):
    grey = np.where(stroke, 0, 255).astype(np.uint8)
    image = Image.fromarray(np.rot90(grey))  # the camera was turned; mark 6 says: turn clockwise to view
    exif = Image.Exif()
    exif[0x0112] = 6
    image.save(tmp_path / "seven.png", exif=exif)
    np.testing.assert_array_equal(read_picture(tmp_path / "seven.png"), grey)


def test_floats_of_a_scientific_picture_are_stretched(stroke, tmp_path):
    again = reread(np.where(stroke, -1.5, 7).astype(np.float32), tmp_path / "seven.tif")
    np.testing.assert_array_equal(again, np.where(stroke, 0, 255))


def test_a_missing_file_and_a_folder_are_named(tmp_path):
    with pytest.raises(DataFileError, match=r"seven\.png: there is no such file"):
        read_picture(tmp_path / "seven.png")
    with pytest.raises(DataFileError):
        read_picture(tmp_path)


@pytest.mark.parametrize("content", [b"", b"hello", b"<svg xmlns='http://www.w3.org/2000/svg'/>"])
def test_a_file_that_is_no_picture_is_called_so(content, tmp_path):
    (tmp_path / "seven.png").write_bytes(content)
    with pytest.raises(DataFileError, match=r"seven\.png: not a picture"):
        read_picture(str(tmp_path / "seven.png"))


def test_floats_may_overshoot_1_a_little(digits):
    """As those of a resized picture do."""
    for share in (1.0001, 1.05):
        np.testing.assert_array_equal(to_mnist_frame(digits[0] / 255 * share) > 100, digits[0] * share > 100)


def test_programs_for_an_interpreter_are_no_pictures(tmp_path, monkeypatch):
    """Pillow would start Ghostscript for EPS."""
    from PIL import EpsImagePlugin

    monkeypatch.setattr(EpsImagePlugin, "Ghostscript", lambda *_: pytest.fail("Ghostscript was asked"))
    Image.new("L", (30, 30)).save(tmp_path / "seven.png", "EPS")
    with pytest.raises(DataFileError, match=r"seven\.png: not a picture"):
        read_picture(tmp_path / "seven.png")


@pytest.mark.parametrize("format", ["PNG", "JPEG", "GIF", "TIFF", "BMP"])
@pytest.mark.parametrize("share", [0.02, 0.3, 0.6, 0.9])
def test_a_truncated_file_is_refused(format, share, tmp_path):
    noise = np.random.default_rng(0).integers(0, 256, (80, 80), dtype=np.uint8)
    path = tmp_path / "noise"
    Image.fromarray(noise).save(path, format)
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * share)])
    with pytest.raises(DataFileError, match="noise"):
        read_picture(path)


def test_damaged_files_raise_nothing_else(digits, tmp_path):
    rng = np.random.default_rng(0)
    for format in ("PNG", "JPEG", "GIF", "TIFF"):
        path = tmp_path / "damaged"
        Image.fromarray(digits[0]).save(path, format)
        content = path.read_bytes()
        for _ in range(30):
            damaged = np.frombuffer(content, np.uint8).copy()
            damaged[rng.integers(0, damaged.size, 4)] = rng.integers(0, 256, 4)
            path.write_bytes(damaged.tobytes())
            with contextlib.suppress(DataFileError):
                assert read_picture(path).ndim == 2


@pytest.mark.parametrize("side", [7_100, 10_000, 20_000])
def test_huge_pictures_are_refused_before_they_are_decoded(side, tmp_path):
    path = tmp_path / "huge.png"
    Image.new("1", (8, 8)).save(path)
    content = bytearray(path.read_bytes())
    content[16:24] = side.to_bytes(4, "big") * 2  # the header promises more than the file holds
    content[29:33] = zlib.crc32(content[12:29]).to_bytes(4, "big")
    path.write_bytes(content)
    with pytest.raises(DataFileError, match=r"huge\.png: the picture has .*pixels; at most 50 million"):
        read_picture(path)


def test_without_pillow_the_error_says_what_to_install(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "PIL", None)
    with pytest.raises(MissingExtraError, match=r"thetanet\[picture\]"):
        read_picture(tmp_path / "seven.png")
