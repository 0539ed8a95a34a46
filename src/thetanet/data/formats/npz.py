"""Samples in an .npz file: read at their position, or unpacked into a temporary folder if compressed."""

from __future__ import annotations

import os
import shutil
import struct
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from thetanet.data.files import files_fingerprint
from thetanet.data.formats.npy import (
    has_test_arrays,
    missing_arrays_error,
    npy_source,
    open_npy_array,
    stored_source,
)
from thetanet.data.npy_writer import unpacked_source
from thetanet.data.source import ROWS, Source
from thetanet.data.temporary import TemporaryFolder, explain_full_disk
from thetanet.errors import DataFileError, InputError

_LOCAL_HEADER = 30  # bytes of a member's header before its name
_WEIGHT = "sample_weight"


def npz_source(path: str | os.PathLike[str], rows: int = ROWS) -> Source:
    """Return a source of the arrays X and y (or X_train and y_train) of an .npz file, and sample_weight.

    Raises
    ------
    DataFileError
        If the file cannot be read, or lacks them.
    """
    path = Path(path)
    members = _list_members(path)
    names = {"X": "x_train", "y": "y_train"}
    if not members.keys() >= set(names.values()):
        names = {"X": "x", "y": "y"}
    if not members.keys() >= set(names.values()):
        stems = (info.filename.removesuffix(".npy") for info in members.values())
        raise missing_arrays_error(path, stems)
    if _WEIGHT in members:
        names[_WEIGHT] = _WEIGHT
    return _members_source(path, {name: members[member] for name, member in names.items()}, "_train", rows)


def open_npz(files: list[Path]) -> Source:
    """Return `npz_source` of the only file in a list."""
    (path,) = files
    return npz_source(path)


def open_npz_test(files: list[Path]) -> Source | None:
    """Return a source of the arrays X_test and y_test of an .npz file; None if there are none."""
    (path,) = files
    members = _list_members(path)
    if not has_test_arrays(path, members):
        return None
    return _members_source(path, {"X": members["x_test"], "y": members["y_test"]}, "_test")


@contextmanager
def _explain_damage(path: Path) -> Iterator[None]:
    """Turn errors of reading a damaged archive into messages; zipfile and zlib raise nearly anything."""
    try:
        yield
    except InputError:
        raise
    except Exception as problem:
        raise DataFileError(
            f"{path}: cannot be read as .npz ({problem}); write it with numpy.savez"
        ) from problem


def _list_members(path: Path) -> dict[str, zipfile.ZipInfo]:
    """Return the arrays of an .npz file by their names in lower case."""
    with _explain_damage(path), zipfile.ZipFile(path) as archive:
        return {info.filename.removesuffix(".npy").lower(): info for info in archive.infolist()}


def _find_content(path: Path, member: zipfile.ZipInfo) -> int:
    """Return the position of the content of a member that is not compressed."""
    if member.flag_bits & 1:
        raise DataFileError(f"{path}: is encrypted; write it with numpy.savez")
    with open(path, "rb") as file:
        file.seek(member.header_offset)
        header = file.read(_LOCAL_HEADER)
    name_length, extra_length = struct.unpack("<HH", header[26:30])
    return member.header_offset + _LOCAL_HEADER + int(name_length) + int(extra_length)


def _members_source(path: Path, members: dict[str, zipfile.ZipInfo], suffix: str, rows: int = ROWS) -> Source:
    """Return a source of the members X, y and perhaps sample_weight of an archive."""
    if any(member.compress_type != zipfile.ZIP_STORED for member in members.values()):
        return _unpack(path, members, suffix, rows)
    with _explain_damage(path):
        offsets = {name: _find_content(path, member) for name, member in members.items()}
    arrays = {
        name: open_npy_array(path, offset, f"{members[name].filename.removesuffix('.npy')} ")
        for name, offset in offsets.items()
    }
    return stored_source(str(path), arrays["X"], arrays["y"], arrays.get(_WEIGHT), rows)


def _unpack(path: Path, members: dict[str, zipfile.ZipInfo], suffix: str, rows: int) -> Source:
    """Return a source of arrays of an .npz file that are unpacked into a temporary folder."""
    folder = TemporaryFolder()
    files = {name: Path(folder.name) / f"{name}.npy" for name in members}
    with _explain_damage(path), explain_full_disk(str(path)), zipfile.ZipFile(path) as archive:
        for name, member in members.items():
            with archive.open(member) as packed, files[name].open("wb") as plain:
                shutil.copyfileobj(packed, plain, 1 << 20)
    try:
        source = npy_source(files["X"], files["y"], files.get(_WEIGHT), rows)
    except DataFileError as problem:
        raise DataFileError(f"{path}: {problem}") from problem
    return unpacked_source(str(path), source, folder, (*files_fingerprint(path), suffix))
