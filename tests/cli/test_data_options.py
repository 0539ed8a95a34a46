"""What the command line says about data: which it takes, what is wrong with it, and what to do."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from thetanet.cli import main
from thetanet.data.formats.idx import write_idx
from thetanet.models.fitted import FittedNetwork

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
        ("object", "y.npy: holds Python objects; write texts as y.astype(str), numbers as a type of NumPy"),
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


def result(capsys, *arguments):
    """Return what a command prints as JSON."""
    assert main([str(argument) for argument in (*arguments, "--json")]) == 0
    return json.loads(capsys.readouterr().out)


rng = np.random.default_rng(7)
Y = np.arange(120) % 3
X = rng.integers(1, 120, size=(120, 64), dtype=np.uint8)
X[:, :3] += (90 * (Y[:, None] == np.arange(3))).astype(np.uint8)
NAMES = [f"p{j}" for j in range(64)]


def csv_text(X=X, y=Y, names=NAMES, weight=None):
    """Return a table with a column of labels, and one of weights if there are some."""
    columns = [X, y[:, None], *([] if weight is None else [weight[:, None]])]
    heading = ",".join([*names, "label", *([] if weight is None else ["w"])])
    return "\n".join([heading, *(",".join(map(str, row)) for row in np.hstack(columns).tolist())]) + "\n"


def write(folder, kind):
    """Write the samples as data of a kind, and return the options that name it."""
    if kind in ("npz", "packed"):
        path = folder / "d.npz"
        (np.savez if kind == "npz" else np.savez_compressed)(path, X=X, y=Y)
    elif kind in ("csv", "several"):
        path = folder / "d.csv"
        path.write_text(csv_text())
        if kind == "several":
            (folder / "a.csv").write_text(csv_text(X[:50], Y[:50]))
            (folder / "b.csv").write_text(csv_text(X[50:], Y[50:]))
            return ["--data", folder / "a.csv", "--data", folder / "b.csv", "--dtype", "uint8"]
        return ["--data", path, "--dtype", "uint8"]
    elif kind == "parquet":
        pa, pq = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
        path = folder / "d.parquet"
        pq.write_table(pa.table({**dict(zip(NAMES, X.T, strict=True)), "label": Y}), path)
    else:
        path = folder / kind
        path.mkdir()
        if kind == "npy":
            np.save(path / "X.npy", X)
            np.save(path / "y.npy", Y)
        elif kind == "idx":
            write_idx(path / "train-images-idx3-ubyte", X.reshape(-1, 8, 8))
            write_idx(path / "train-labels-idx1-ubyte", Y.astype(np.uint8))
        elif kind == "images":
            for row, (x, label) in enumerate(zip(X, Y, strict=True)):
                (path / str(label)).mkdir(exist_ok=True)
                Image.fromarray(x.reshape(8, 8)).save(path / str(label) / f"{row:03}.png")
    return ["--data", path]


KINDS = ["packed", "npy", "csv", "several", "parquet", "idx"]  # whose samples are in the order of X


@pytest.mark.parametrize("kind", KINDS)
def test_data_of_every_kind_train_the_same_network(tmp_path, capsys, kind):
    pytest.importorskip("pyarrow")
    train = ["train", "--hidden", 5, "--epochs", 2, "--validation", 0.2, "--out"]
    reports = []
    for each in ("npz", kind):
        (tmp_path / each).mkdir()
        data = write(tmp_path / each, each)
        reports.append(result(capsys, *train, tmp_path / f"{each}.model", *data))
        assert (reports[-1]["M"], reports[-1]["D_I"], reports[-1]["D_O"]) == (120, 64, 3)
    assert (
        FittedNetwork.load(tmp_path / "npz.model").theta
        == FittedNetwork.load(f"{tmp_path / kind}.model").theta
    )
    for name in ("error", "val_error", "val_accuracy"):
        assert reports[0]["history"][name] == reports[1]["history"][name]


@pytest.mark.parametrize("kind", ["csv", "images"])
def test_what_can_be_done_with_arrays_can_be_done_with_tables_and_images(tmp_path, capsys, kind):
    pytest.importorskip("pyarrow")
    data, model = write(tmp_path, kind), tmp_path / "model"
    trained = result(
        capsys, "train", *data, "--hidden", 5, "--out", model, "--deform", "--pictures", tmp_path / "t"
    )
    assert {Path(path).name for path in trained["pictures"]} == {
        "learning-curve.png", "hidden-units.png", "deformed.png",
    }  # fmt: skip
    student = tmp_path / "student"
    arguments = [
        "--hidden",
        3,
        "--epochs",
        1,
        "--patience",
        1,
        "--class-weight",
        "balanced",
        "--out",
        student,
    ]
    assert len(result(capsys, "train", *data, "--teacher", model, *arguments)["history"]["val_error"]) == 1
    measured = result(capsys, "evaluate", model, *data, "--robustness", "--pictures", tmp_path / "e")
    assert measured["robustness"]["as they are"] == pytest.approx(1 - measured["accuracy"])
    assert {Path(path).name for path in measured["pictures"]} >= {"confusion.png", "reliability.png"}
    assert result(capsys, "inspect", model, *data)["samples"] == 120
    report = result(
        capsys, "report", model, *data, "--robustness", "--shape", 8, 8, "--out", tmp_path / "r.html"
    )
    assert report["accuracy"] == measured["accuracy"]
    assert (tmp_path / "r.html").stat().st_size == report["bytes"]


def test_weights_of_a_column_are_those_of_repeated_rows(tmp_path, capsys):
    pytest.importorskip("pyarrow")
    weight = 1 + np.arange(120) % 3
    (tmp_path / "w.csv").write_text(csv_text(weight=weight))
    (tmp_path / "r.csv").write_text(csv_text(X.repeat(weight, axis=0), Y.repeat(weight)))
    train = ["train", "--hidden", 3, "--descent", "lbfgs", "--epochs", 4, "--out"]
    weighted = result(capsys, *train, tmp_path / "w", "--data", tmp_path / "w.csv", "--weight", "w")
    repeated = result(capsys, *train, tmp_path / "r", "--data", tmp_path / "r.csv")
    assert weighted["history"]["error"] == pytest.approx(repeated["history"]["error"], rel=1e-3)
    evaluate = ["evaluate", tmp_path / "w", "--data", tmp_path / "w.csv"]
    assert "inputs" in said(capsys, *evaluate)  # without the option the weights are an input
    assert result(capsys, *evaluate, "--weight", "w")["samples"] == 120


def test_an_option_without_a_meaning_for_the_data_is_refused(tmp_path, capsys):
    (option, path), model = write(tmp_path, "npz"), tmp_path / "model"
    result(capsys, "train", option, path, "--hidden", 2, "--epochs", 1, "--out", model)
    for command in ("train", "evaluate", "inspect", "report"):
        line = said(capsys, command, *([] if command == "train" else [model]), option, path, "--target", "y")
        assert "target='y': has no meaning for" in line
    assert "has no meaning" in said(capsys, "convert", path, "--out", tmp_path / "npy", "--target", "y")


@pytest.mark.parametrize("command", ["train", "evaluate", "inspect", "report", "serve"])
def test_help_names_the_data_that_are_taken(capsys, command):
    assert main([command, "--help"]) == 0
    shown = " ".join(capsys.readouterr().out.split())
    for words in ("a table or a folder", "[MNIST]", "--target", "--weight", "--skip-bad", "--zero-based"):
        assert words in shown


def test_the_page_refuses_a_table_of_other_data(tmp_path, capsys):
    pytest.importorskip("pyarrow")
    pytest.importorskip("fastapi")
    data = write(tmp_path, "csv")
    assert "28" in said(capsys, "serve", *data, "--port", 0)


def test_plain_data_are_trained_on_and_measured_without_scikit_learn(tmp_path):
    pytest.importorskip("pyarrow")
    program = (
        "import sys; from thetanet.cli import main; "
        "assert all(main(line.split()) == 0 for line in sys.argv[1:]); "
        "sys.exit('sklearn' in sys.modules)"
    )
    lines = []
    for kind in ("npz", "npy", "csv", "idx", "images"):
        data, model = " ".join(map(str, write(tmp_path, kind))), tmp_path / f"{kind}.model"
        lines += [f"train {data} --epochs 1 --hidden 2 --out {model}", f"evaluate {model} {data}"]
    done = subprocess.run([sys.executable, "-c", program, *lines], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


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
        (["--weight", "w"], "--weight: "),
        (["--one-based"], "--one-based: "),
    ],
)
def test_options_of_data_need_data(tmp_path, capsys, options, says):
    line = said(capsys, "train", "--out", tmp_path / "m", *options)
    assert f"{says}say how data is read, but there is no --data; give --data PATH" in line
    for command in ("evaluate", "inspect", "report", "serve"):
        assert says in said(capsys, command, *options)


def test_a_full_disk_names_the_folder_for_temporary_files(tmp_path, capsys, monkeypatch):
    from thetanet import batches_source, open_source
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
