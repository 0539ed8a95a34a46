"""What the command line says about data: which it takes, what is wrong with it, and what to do."""

import os

import numpy as np
import pytest

from thetanet.cli import main

ROWS = "a,b,label\n" + "1,2,x\n3,4,y\n" * 20


@pytest.fixture(autouse=True)
def _own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("THETANET_CACHE", str(tmp_path / "notes"))


def said(capsys, *arguments):
    """Return what a command that fails says, on one line."""
    assert main([str(argument) for argument in arguments]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    return line


def fill(folder):
    """Make data of many kinds, none of which can be read."""
    folder.mkdir()
    (folder / "t.csv.gz").write_bytes(b"packed")
    (folder / "t.txt").write_text(ROWS)
    (folder / "mixed").mkdir()
    for ending in ("csv", "parquet"):
        (folder / "mixed" / f"t.{ending}").write_text(ROWS)
    (folder / "nothing").mkdir()
    (folder / "other").mkdir()
    np.save(folder / "other" / "Z.npy", np.eye(3))
    np.savez(folder / "objects.npz", X=np.eye(2), y=np.array(["a", "b"], object))
    (folder / "object").mkdir()
    np.save(folder / "object" / "X.npy", np.eye(2))
    np.save(folder / "object" / "y.npy", np.array(["a", "b"], object))


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("t.csv.gz", "compressed files cannot be read in parts; unpack it first"),
        ("t.txt", "must end in .parquet, .pq, .csv"),
        ("mixed", "holds files of several formats (csv, parquet); give one kind"),
        ("nothing", "holds no tables, svmlight, .npy or IDX files, and no images"),
        ("other", "holds ['Z']; it needs X and y"),
        ("objects.npz", "y holds Python objects; write texts as y.astype(str), numbers as a type of NumPy"),
        ("object", "y holds Python objects; write texts as y.astype(str), numbers as a type of NumPy"),
    ],
)
def test_data_that_cannot_be_read_says_why(tmp_path, capsys, name, says):
    fill(tmp_path / "d")
    data = tmp_path / "d" / name
    for command in ("train", "evaluate"):
        line = said(capsys, command, "--data", data)
        assert says in line
        assert name in line
    assert says in said(capsys, "train", "--out", tmp_path / "m", "--epochs", 1, "--validation-data", data)


def test_an_ending_in_capitals_is_one_too(tmp_path):
    np.savez(tmp_path / "d.npz", X=np.random.default_rng(0).normal(size=(40, 3)), y=np.arange(40) % 2)
    (tmp_path / "d.npz").rename(tmp_path / "D.NPZ")
    assert main(["train", "--data", str(tmp_path / "D.NPZ"), "--out", str(tmp_path / "m")]) == 0


@pytest.mark.parametrize("command", ["inspect", "report", "serve"])
def test_what_takes_arrays_only_says_so(tmp_path, capsys, command):
    (tmp_path / "t.csv").write_text(ROWS)
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "t.csv").write_text(ROWS)
    for data in (tmp_path / "t.csv", tmp_path / "folder"):
        line = said(capsys, command, "--data", data)
        assert "thetanet convert" in line
    assert main([command, "--help"]) == 0
    shown = " ".join(capsys.readouterr().out.split())
    assert "table" not in shown
    assert "or a folder of .npy or IDX files" in shown


@pytest.mark.filterwarnings("default")  # the command line shows them
def test_a_warning_is_shown_once(tmp_path, capsys):
    pytest.importorskip("pyarrow")
    (tmp_path / "t.csv").write_text(ROWS + "1,2,x,4\n")
    command = ["train", "--data", str(tmp_path / "t.csv"), "--skip-bad", "--out", str(tmp_path / "m")]
    for _ in range(2):
        assert main([*command, "--epochs", "2", "--test", str(tmp_path / "t.csv")]) == 0
        assert capsys.readouterr().err.count("1 bad row skipped") == 1


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--target", "y"], "--target: "),
        (["--skip-bad", "--size", "3", "4"], "--skip-bad, --size: "),
        (["--dtype", "uint8"], "--dtype: "),
        (["--one-based"], "--one-based: "),
    ],
)
def test_options_of_data_need_data(tmp_path, capsys, options, says):
    line = said(capsys, "train", "--out", tmp_path / "m", *options)
    assert f"{says}say how data is read in parts, but there is no --data" in line
    assert says in said(capsys, "evaluate", *options)


def test_a_full_disk_names_the_folder_for_temporary_files(tmp_path, capsys, monkeypatch):
    from thetanet import batches_source, open_source
    from thetanet.data.formats.idx import write_idx
    from thetanet.errors import InputError

    if not os.path.exists("/dev/full"):
        pytest.skip("no device that is always full")
    full = tmp_path / "full"
    full.mkdir()
    for name in ("X.npy", "y.npy", "0.raw", "1.raw"):
        (full / name).symlink_to("/dev/full")
    X, y = np.zeros((9000, 784), np.uint8), np.arange(9000) % 2
    np.savez_compressed(tmp_path / "d.npz", X=X, y=y)
    (tmp_path / "idx").mkdir()
    write_idx(tmp_path / "idx" / "train-images-idx3-ubyte.gz", X.reshape(-1, 28, 28), True)
    write_idx(tmp_path / "idx" / "train-labels-idx1-ubyte.gz", y.astype(np.uint8), True)
    monkeypatch.setattr("tempfile.mkdtemp", lambda **_: str(full))
    monkeypatch.setattr("shutil.rmtree", lambda *_, **__: None)
    for name, open_it in (
        ("d.npz", lambda: open_source(tmp_path / "d.npz")),
        ("train-images", lambda: open_source(tmp_path / "idx")),
        ("batches", lambda: batches_source([(X, y)])),
    ):
        with pytest.raises(InputError, match=rf"{name}.*no room.*set TMPDIR to a folder with more"):
            open_it()
