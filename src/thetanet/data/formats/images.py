"""Parts of a folder of images: one folder a class, all images grey and of one size.

The images come in a random order that is always the same, so that each part holds all classes.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from numbers import Integral
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from thetanet.data.files import Stamp, file_stamp
from thetanet.data.formats.picture import read_picture
from thetanet.data.skipping import Skipped
from thetanet.data.source import Part, Rows, Source
from thetanet.errors import DataFileError, InputError

# Of files that are images; others are ignored.
SUFFIXES = {".png", ".jpg", ".jpeg", ".bmp", ".gif", ".tif", ".tiff", ".webp", ".pgm", ".ppm", ".pbm", ".pnm"}
ROWS = 512  # of a part: images are slow to read
_TRAIN = ("train", "training")
_TEST = ("test", "testing")
_SPLITS = {*_TRAIN, *_TEST, "val", "valid", "validation"}


@dataclass(frozen=True)
class ImagesPart(Part):
    """Some images of a folder: their files, the stamps of these, and their labels."""

    folder: str
    files: tuple[str, ...]
    stamps: tuple[Stamp, ...]
    y: NDArray[Any] = field(compare=False)
    size: tuple[int, int]
    resize: bool = False
    skip_bad: bool = False
    skipped: Skipped = field(default_factory=Skipped, compare=False)

    @property
    def file_name(self) -> str:
        """Name of the folder."""
        return self.folder

    @property
    def where(self) -> str:
        """Name of the folder and the first image."""
        return f"{self.folder}, images from {self.files[0]}"

    @property
    def fingerprint(self) -> tuple[Any, ...]:
        """Fingerprint of the content."""
        return self.folder, self.files, self.stamps, self.size, self.resize, self.skip_bad

    def read(self) -> Rows:
        """Return the samples: X is uint8, of shape (n, height * width)."""
        X = np.empty((len(self.files), self.size[0] * self.size[1]), np.uint8)
        good = np.ones(len(X), bool)
        self.skipped.count = 0
        for n, (file, stamp) in enumerate(zip(self.files, self.stamps, strict=True)):
            try:
                X[n] = read_image(os.path.join(self.folder, file), self.size, self.resize, stamp).ravel()
            except DataFileError as problem:
                if not self.skip_bad:
                    raise
                good[n] = False
                if not self.skipped.count:
                    self.skipped.first, self.skipped.why = file, str(problem)
                self.skipped.count += 1
        return Rows(X, self.y) if good.all() else Rows(X[good], self.y[good])


def read_image(
    path: str, size: tuple[int, int] | None, resize: bool, stamp: Stamp | None = None
) -> NDArray[np.uint8]:
    """Return the grey levels of an image that has this size, or is brought to it.

    Raises
    ------
    DataFileError
        If it is damaged, has changed, or is of another size.
    """
    try:
        if stamp is not None and file_stamp(path) != stamp:
            raise DataFileError(f"{path}: has changed since the folder was opened; begin again")
    except OSError as problem:
        raise DataFileError(f"{path}: cannot be read ({problem.strerror})") from problem
    image = read_picture(path)
    if size is None or image.shape == size:
        return image
    if not resize:
        raise DataFileError(
            f"{path}: has {image.shape[0]} x {image.shape[1]} pixels, other images {size[0]} x {size[1]}; "
            "give size=(height, width) (--size H W) to bring all to one size"
        )
    return resize_image(image, size)


def resize_image(image: NDArray[np.uint8], size: tuple[int, int]) -> NDArray[np.uint8]:
    """Return an image of another size: each new pixel is the mean of the old ones that it covers."""
    (H, W), (h, w) = image.shape, size
    means = _overlap(H, h) @ image.astype(np.float64) @ _overlap(W, w).T
    return np.clip(np.rint(means), 0, 255).astype(np.uint8)


@lru_cache(maxsize=16)  # most data sets have a few sizes; some have one an image
def _overlap(old: int, new: int) -> NDArray[np.float64]:
    """Return the weight of each of `old` pixels in the mean of each of `new` ones: shape (new, old)."""
    edges = np.arange(new + 1) * (old / new)
    low, high = edges[:-1, None], edges[1:, None]
    pixels = np.arange(old)
    overlap = np.clip(np.minimum(high, pixels + 1) - np.maximum(low, pixels), 0, None)
    weights: NDArray[np.float64] = overlap / overlap.sum(axis=1, keepdims=True)
    return weights


def list_images(folder: str | os.PathLike[str]) -> dict[str, list[str]]:
    """Return the images under each subfolder that has some, by paths relative to `folder`."""
    where = Path(folder)
    images = {
        name: [os.path.relpath(path, where) for path in _walk_images(where / name)]
        for name in _subfolders(where)
    }
    return {name: files for name, files in images.items() if files}


def find_splits(folder: str | os.PathLike[str]) -> tuple[Path, Path | None]:
    """Return the folder of the training images, train/ if there is such a split, and that of the test images.

    Raises
    ------
    DataFileError
        If subfolders may be either splits or classes.
    """
    where = Path(folder)
    # Other subfolders are no classes: those of tools (.cache, .ipynb_checkpoints), or annotations.
    inside = [name for name in _subfolders(where) if any(_walk_images(where / name))]
    train, test = ([name for name in inside if name.lower() in split] for split in (_TRAIN, _TEST))
    others = [name for name in inside if name.lower() not in _SPLITS]
    if not train:
        return where, None
    if others:
        has_splits = len(inside) > len(others) + 1 or _has_classes(where / train[0])
        if not has_splits:  # images of trains, beside those of other things
            return where, None
        raise DataFileError(
            f"{where}: holds images in {train[0]}/ and in {others[0]}/; if {train[0]}/ is what to train on, "
            f"give {where / train[0]}, and if it is a class, give it another name"
        )
    if len(train) > 1 or len(test) > 1:
        names = train if len(train) > 1 else test
        raise DataFileError(f"{where}: holds images in {names[0]}/ and in {names[1]}/; remove one of them")
    return where / train[0], where / test[0] if test else None


def _has_classes(folder: Path) -> bool:
    return any(any(_walk_images(folder / name)) for name in _subfolders(folder))


def _subfolders(folder: Path) -> list[str]:
    return sorted(entry.name for entry in os.scandir(folder) if entry.is_dir() and entry.name[0] != ".")


def _walk_images(folder: Path) -> Iterator[str]:
    """Yield the paths of the images under a folder in order, without hidden ones."""
    for top, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if name[0] != ".")
        for name in sorted(names):
            if os.path.splitext(name)[1].lower() in SUFFIXES and name[0] != ".":
                yield os.path.join(top, name)


def check_size(size: Any) -> None:
    """Check the size of all images that the user wants."""
    sides = size if isinstance(size, Sequence) and len(size) == 2 else (0,)
    if size is not None and not all(isinstance(side, Integral) and int(side) > 0 for side in sides):
        raise InputError(f"size={size!r}: must be (height, width), in pixels")


def images_source(
    folder: str | os.PathLike[str],
    size: tuple[int, int] | None = None,
    *,
    skip_bad: bool = False,
    rows: int = ROWS,
) -> Source:
    """Return a source of a folder of images; `open_source` describes the arguments.

    The labels are the names of the subfolders, as whole numbers if all of them are.

    Raises
    ------
    DataFileError
        If there are no images.
    MissingExtraError
        If Pillow is not installed.
    """
    check_size(size)
    classes = list_images(folder)
    if not classes:
        raise DataFileError(f"{folder}: holds no images in subfolders; each class needs a folder of its own")
    integers = all(name.isascii() and name.isdigit() and str(int(name)) == name for name in classes)
    convert: Callable[[str], Any] = int if integers else str
    files = np.array([file for each in classes.values() for file in each], dtype=object)
    y = np.array([convert(name) for name, each in classes.items() for _ in each])
    order = np.random.default_rng(0).permutation(len(files))
    files, y = files[order], y[order]
    resize = size is not None
    for file in files if size is None else ():
        try:
            size = read_image(os.path.join(folder, file), None, False).shape
            break
        except DataFileError:
            if not skip_bad:
                raise
    if size is None:
        raise DataFileError(f"{folder}: none of its {len(files):,} images can be read")
    try:
        stamps = [file_stamp(os.path.join(folder, file)) for file in files]
    except OSError as problem:
        raise DataFileError(f"{problem.filename}: cannot be read ({problem.strerror})") from problem
    height, width = (int(side) for side in size)
    parts = []
    for low in range(0, len(files), rows):
        some = slice(low, low + rows)
        parts.append(
            ImagesPart(
                os.path.abspath(folder), tuple(files[some]), tuple(stamps[some]), y[some], (height, width),
                resize, skip_bad,
            )
        )  # fmt: skip
    return Source(str(folder), parts)


def is_images_folder(folder: Path) -> bool:
    """Return whether a folder holds images in subfolders."""
    return bool(list_images(find_splits(folder)[0]))


def open_images(files: list[Path], **options: Any) -> Source:
    """Return `images_source` of the training images in the only folder of a list."""
    (folder,) = files
    return images_source(find_splits(folder)[0], **options)


def open_test_images(files: list[Path], **options: Any) -> Source | None:
    """Return `images_source` of the test images in the only folder of a list; None if there are none."""
    (folder,) = files
    test = find_splits(folder)[1]
    return None if test is None else images_source(test, **options)
