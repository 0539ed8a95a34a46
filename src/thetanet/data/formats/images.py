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

from thetanet.data.formats.npy import stamp_of
from thetanet.data.formats.picture import read_picture
from thetanet.data.skipping import Skipped
from thetanet.data.source import Part, Rows, Source
from thetanet.errors import DataFileError, InputError

# Of files that are images; others are passed over.
ENDINGS = {".png", ".jpg", ".jpeg", ".bmp", ".gif", ".tif", ".tiff", ".webp", ".pgm", ".ppm", ".pbm", ".pnm"}
ROWS = 512  # of a part: images are slow to read
_TRAIN = ("train", "training")
_TEST = ("test", "testing")
_SPLITS = {*_TRAIN, *_TEST, "val", "valid", "validation"}


@dataclass(frozen=True)
class ImagesPart(Part):
    """Some images of a folder: their files, when these were changed, and their labels."""

    folder: str
    files: tuple[str, ...]
    stamps: tuple[tuple[int, int], ...]
    y: NDArray[Any] = field(compare=False)
    size: tuple[int, int]
    resize: bool = False
    skip_bad: bool = False
    skipped: Skipped = field(default_factory=Skipped, compare=False)

    @property
    def file_name(self) -> str:
        """The folder."""
        return self.folder

    @property
    def where(self) -> str:
        """Say which images."""
        return f"{self.folder}, images from {self.files[0]}"

    @property
    def fingerprint(self) -> tuple[Any, ...]:
        """What identifies the content."""
        return self.folder, self.files, self.stamps, self.size, self.resize, self.skip_bad

    def read(self) -> Rows:
        """Read them: X is uint8, of shape (n, height * width)."""
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
    path: str, size: tuple[int, int] | None, resize: bool, stamp: tuple[int, int] | None = None
) -> NDArray[np.uint8]:
    """Read one image as grey levels, of this size or brought to it.

    Raises
    ------
    DataFileError
        If it is damaged, has changed, or is of another size.
    """
    try:
        if stamp is not None and stamp_of(path) != stamp:
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
    return resized(image, size)


def resized(image: NDArray[np.uint8], size: tuple[int, int]) -> NDArray[np.uint8]:
    """Return an image of another size: each new pixel is the mean of what it covers of the old ones."""
    (H, W), (h, w) = image.shape, size
    means = _cover(H, h) @ image.astype(np.float64) @ _cover(W, w).T
    return np.clip(np.rint(means), 0, 255).astype(np.uint8)


@lru_cache(maxsize=16)  # images come in a few sizes, or in so many that to remember them fills the memory
def _cover(old: int, new: int) -> NDArray[np.float64]:
    """Return the share that each of `old` pixels has in each of `new` ones: shape (new, old)."""
    edges = np.arange(new + 1) * (old / new)
    low, high = edges[:-1, None], edges[1:, None]
    pixels = np.arange(old)
    overlap = np.clip(np.minimum(high, pixels + 1) - np.maximum(low, pixels), 0, None)
    shares: NDArray[np.float64] = overlap / overlap.sum(axis=1, keepdims=True)
    return shares


def image_classes(folder: str | os.PathLike[str]) -> dict[str, list[str]]:
    """Return the images under each subfolder, by paths relative to `folder`; empty where there are none."""
    where, found = Path(folder), {}
    for each in _subfolders(where):
        files = [os.path.relpath(path, where) for path in _images_in(where / each)]
        if files:
            found[each] = files
    return found


def training_and_test(folder: str | os.PathLike[str]) -> tuple[Path, Path | None]:
    """Return where the training images are: in train/, if there is such a split, and where the test images.

    Raises
    ------
    DataFileError
        If subfolders may be splits or classes.
    """
    where = Path(folder)
    # Others are nobody's class: what tools leave behind (.cache, .ipynb_checkpoints), or annotations.
    inside = [name for name in _subfolders(where) if any(_images_in(where / name))]
    train, test = ([name for name in inside if name.lower() in split] for split in (_TRAIN, _TEST))
    others = [name for name in inside if name.lower() not in _SPLITS]
    if not train:
        return where, None
    if others:
        parted = len(inside) > len(others) + 1 or _has_classes(where / train[0])
        if not parted:  # images of trains, beside those of other things
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
    return any(any(_images_in(folder / name)) for name in _subfolders(folder))


def _subfolders(folder: Path) -> list[str]:
    return sorted(entry.name for entry in os.scandir(folder) if entry.is_dir() and entry.name[0] != ".")


def _images_in(folder: Path) -> Iterator[str]:
    """Yield the paths of the images under a folder, in order, but for what is hidden."""
    for top, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if name[0] != ".")
        for name in sorted(names):
            if os.path.splitext(name)[1].lower() in ENDINGS and name[0] != ".":
                yield os.path.join(top, name)


def check_size(size: Any) -> None:
    """Check the size that all images are to be brought to."""
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
    classes = image_classes(folder)
    if not classes:
        raise DataFileError(f"{folder}: holds no images in subfolders; each class needs a folder of its own")
    whole = all(name.isascii() and name.isdigit() and str(int(name)) == name for name in classes)
    to: Callable[[str], Any] = int if whole else str
    files = np.array([file for each in classes.values() for file in each], dtype=object)
    y = np.array([to(name) for name, each in classes.items() for _ in each])
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
        stamps = [stamp_of(os.path.join(folder, file)) for file in files]
    except OSError as problem:
        raise DataFileError(f"{problem.filename}: cannot be read ({problem.strerror})") from problem
    return Source(
        str(folder),
        [
            ImagesPart(
                os.path.abspath(folder), tuple(files[low : low + rows]), tuple(stamps[low : low + rows]),
                y[low : low + rows], (int(size[0]), int(size[1])), resize, skip_bad,
            )
            for low in range(0, len(files), rows)
        ],
    )  # fmt: skip
