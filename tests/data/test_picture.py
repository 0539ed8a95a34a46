"""Picture files as grey levels: formats, kinds of pixels, transparency, and files that are damaged."""

from __future__ import annotations

import contextlib
import sys
import zlib

import numpy as np
import pytest

from thetanet import load_mnist
from thetanet.data.formats.picture import read_picture
from thetanet.errors import DataFileError, MissingExtraError

Image = pytest.importorskip("PIL.Image")


def distance(a, b):
    return np.abs(a.astype(float) - b).mean()


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


def test_damaged_files_raise_nothing_else(tmp_path):
    digit = load_mnist()[2].reshape(-1, 28, 28)[0]
    rng = np.random.default_rng(0)
    for format in ("PNG", "JPEG", "GIF", "TIFF"):
        path = tmp_path / "damaged"
        Image.fromarray(digit).save(path, format)
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
