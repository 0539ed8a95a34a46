"""Cached surveys: which sources are recognised, and what becomes of damaged and old files."""

import os

import numpy as np
import pytest
from sample_files import read_samples, write_class_folders, write_table
from scipy import sparse

from thetanet import batches_source, open_source
from thetanet.data import survey_cache
from thetanet.data.formats import npy
from thetanet.data.survey import survey_source

pytestmark = pytest.mark.usefixtures("read_in_parts")


def notes_in(folder):
    return sorted(path.name for path in (folder / "notes").glob("*"))


def small(folder, kind, times):
    """Write four samples in a folder of this kind."""
    folder.mkdir()
    X, y = times * np.arange(8.0).reshape(4, 2), np.array([0, 1, 0, 1])
    if kind == "npy":
        np.save(folder / "X.npy", X)
        np.save(folder / "y.npy", y)
    elif kind == "images":
        write_class_folders(folder, *([str(n) for n in range(2)] if times > 1 else ["1", "0"]))
    elif kind == "svm":
        rows = [f"{label} 1:{a} 2:{b}\n" for label, (a, b) in zip(y, X.astype(int) % 10, strict=True)]
        (folder / "d.svm").write_text("".join(rows))
    else:
        write_table(folder / f"d.{kind}", {"a": X[:, 0] % 10, "b": X[:, 1] % 10, "y": y})
    for path in folder.rglob("*"):
        os.utime(path, (1e9, 1e9))


@pytest.mark.parametrize("kind", ["npy", "csv", "parquet", "svm", "images"])
def test_a_relative_path_is_not_taken_for_another_folder_s(tmp_path, monkeypatch, kind):
    found = []
    for name, times in (("A", 1), ("B", 3)):
        small(tmp_path / name, kind, times)
        monkeypatch.chdir(tmp_path / name)
        source = open_source(".")
        found.append(survey_source(source).digest)
        monkeypatch.chdir(tmp_path)  # and it can be read from anywhere
        read_samples(source)
    assert found[0] != found[1]
    assert len(notes_in(tmp_path)) == 2


def test_what_is_never_met_again_leaves_no_note(tmp_path):
    X, y = np.eye(4), [0, 1, 0, 1]
    survey_source(batches_source([(X, y)]))
    survey_source(batches_source([(sparse.csr_matrix(X), y)]))
    assert notes_in(tmp_path) == []
    np.savez_compressed(tmp_path / "d.npz", X=X, y=y)
    survey_source(open_source(tmp_path / "d.npz"))
    assert len(notes_in(tmp_path)) == 1


def test_old_notes_go_and_other_files_stay(tmp_path, monkeypatch):
    monkeypatch.setattr(survey_cache, "MAX_FILES", 2)
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes" / "mine.json").write_text("{}")
    for n in range(4):
        small(tmp_path / str(n), "npy", n + 1)
        survey_source(open_source(tmp_path / str(n)))
        survey_source(open_source(tmp_path / "0"))  # used again, and so it stays
    assert len(notes_in(tmp_path)) == 3
    assert "mine.json" in notes_in(tmp_path)
    monkeypatch.setattr(npy.NpyPart, "read", lambda part: pytest.fail("was read again"))
    survey_source(open_source(tmp_path / "0"))


@pytest.mark.parametrize("text", ["null", "[]", "{}", '{"kind": 3}', "\0", '{"kind": [2, "x", false, null]}'])
def test_a_note_that_is_damaged_is_made_again(tmp_path, text):
    small(tmp_path / "d", "npy", 1)
    first = survey_source(open_source(tmp_path / "d"))
    (tmp_path / "notes" / notes_in(tmp_path)[0]).write_text(text)
    assert survey_source(open_source(tmp_path / "d")).digest == first.digest


def test_without_a_place_for_notes_there_are_none(tmp_path, monkeypatch):
    small(tmp_path / "d", "npy", 1)
    monkeypatch.setenv("THETANET_CACHE", str(tmp_path / ("long" * 100)))  # nothing can be asked of this path
    assert survey_source(open_source(tmp_path / "d")).M == 4
    monkeypatch.delenv("THETANET_CACHE")
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)

    def nobody():
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr(survey_cache.Path, "home", nobody)
    assert survey_source(open_source(tmp_path / "d")).M == 4
