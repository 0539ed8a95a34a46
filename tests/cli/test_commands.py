"""The command line as a person uses it: what it prints, writes and returns."""

import json
import os
import re
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from PIL import Image
from sklearn.datasets import load_digits

import thetanet
from thetanet import ThetaNetClassifier, cli
from thetanet.data.formats.idx import write_idx
from thetanet.evaluation.gradient_check import error_and_gradient


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Small data sets of both kinds, and a model trained on MNIST for one epoch."""
    where = tmp_path_factory.mktemp("cli")
    X, y = load_digits(return_X_y=True)
    np.savez(where / "digits.npz", X=X[:1500], y=y[:1500], X_test=X[1500:], y_test=y[1500:])
    (where / "idx").mkdir()
    images = (X.reshape(-1, 8, 8) * 15).astype(np.uint8)
    write_idx(where / "idx" / "train-images-idx3-ubyte", images[:500])
    write_idx(where / "idx" / "train-labels-idx1-ubyte", y[:500].astype(np.uint8))
    X, y, _, _ = thetanet.load_mnist()
    ThetaNetClassifier(hidden=40, epochs=1, random_state=0).fit(X[:20000], y[:20000]).save(
        where / "mnist.model"
    )
    return where


def run(capsys, *arguments):
    code = cli.main([str(a) for a in arguments])
    captured = capsys.readouterr()
    return code, captured.out, captured.err


def test_train_then_evaluate(folder, capsys):
    model = folder / "digits.model"
    code, out, _ = run(
        capsys, "train", "--data", folder / "digits.npz", "--hidden", 30, "--epochs", 40, "--out", model
    )
    assert code == 0
    assert out.count("epoch ") == 40
    assert f"model: {model}" in out
    code, out, _ = run(capsys, "evaluate", model, "--data", folder / "digits.npz", "--json")
    found = json.loads(out)
    assert found["samples"] == 297
    assert found["accuracy"] > 0.85
    assert found["mistakes"] == 297 - sum(found["confusion"][i][i] for i in range(10))
    assert sum(map(sum, found["confusion"])) == 297
    worst = found["worst"]
    assert all(m["true"] != m["predicted"] for m in worst)
    assert [m["probability"] for m in worst] == sorted((m["probability"] for m in worst), reverse=True)
    code, out, _ = run(capsys, "evaluate", model, "--data", folder / "digits.npz", "--worst", 2)
    assert f"accuracy {found['accuracy']:.2%}" in out
    assert "confusion" in out


def test_train_reports_as_json_and_draws(folder, capsys):
    arguments = ("train", "--data", folder / "idx", "--epochs", 3, "--seed", 4, "--json")
    code, out, err = run(capsys, *arguments, "--out", folder / "a", "--pictures", folder / "pictures")
    report = json.loads(out)
    assert code == 0
    assert err.count("epoch ") == 3  # progress goes to stderr, the report alone to stdout
    assert len(report["history"]["error"]) == 3
    assert {p.name for p in (folder / "pictures").iterdir()} == {"learning-curve.png", "hidden-units.png"}
    run(capsys, *arguments, "--out", folder / "b")
    assert ThetaNetClassifier.load(folder / "a").theta_ == ThetaNetClassifier.load(folder / "b").theta_


def test_descent_and_rate_reach_the_training(folder, capsys):
    code, out, _ = run(
        capsys, "train", "--data", folder / "idx", "--descent", "gd", "--learning-rate", 0.5, "--epochs", 2,
        "--hidden", 3, "--out", folder / "gd", "--json",
    )  # fmt: skip
    report = json.loads(out)
    assert code == 0
    assert report["descent"].startswith("GradientDescent(learning_rate=0.5")
    assert report["D_H"] == 3


def picture(path, dark_on_light=True, size=140):
    _, _, X, y = thetanet.load_mnist()
    row = 0  # a seven
    image = Image.fromarray(X[row].reshape(28, 28)).resize((size, size))
    if dark_on_light:
        image = Image.fromarray(255 - np.asarray(image))
    image.save(path)
    return str(y[row])


def test_predict_reads_pictures(folder, capsys):
    label = picture(folder / "dark.png")
    picture(folder / "light.jpg", dark_on_light=False, size=33)
    code, out, _ = run(
        capsys, "predict", "--model", folder / "mnist.model", folder / "dark.png", folder / "light.jpg"
    )
    assert code == 0
    assert [line.split(": ")[1].split()[0] for line in out.splitlines()] == [label, label]
    code, out, _ = run(capsys, "predict", "--model", folder / "mnist.model", folder / "dark.png", "--json")
    (answer,) = json.loads(out)
    assert answer["label"] == label
    assert 0.5 < answer["probability"] <= 1


def test_check_passes_and_prints_every_part(capsys):
    code, out, _ = run(capsys, "check", "--cases", 8)
    assert code == 0
    for part in ("Theta1 bias row", "Theta1 weights", "Theta2 bias row", "Theta2 weights", "passed"):
        assert part in out


def test_check_fails_with_exit_code_1_for_a_broken_gradient(capsys, monkeypatch):
    def broken(theta, X, L, w):
        E, gradient = error_and_gradient(theta, X, L, w)
        gradient.b2[...] *= 1.001
        return E, gradient

    monkeypatch.setattr("thetanet.evaluation.gradient_check.engine_gradient", broken)
    code, out, _ = run(capsys, "check", "--cases", 4)
    assert code == 1
    assert "FAILED" in out
    code, out, _ = run(capsys, "check", "--cases", 4, "--json")
    assert json.loads(out)["passed"] is False


def test_help_for_everything(capsys):
    code, out, _ = run(capsys)
    assert code == 0
    for command in ("train", "evaluate", "predict", "check"):
        assert command in out
        code, text, _ = run(capsys, command, "--help")
        assert code == 0
        assert "Usage:" in text
    assert run(capsys, "--version")[:2] == (0, thetanet.__version__ + "\n")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nonsense"], "nonsense"),
        (["train", "--hiden", "3"], "--hiden"),
        (["train", "--hidden", "many"], "--hidden"),
        (["train", "--hidden", "0"], "hidden=0: must be a whole number at least 1"),
        (["train", "--epochs", "0"], "--epochs"),
        (["train", "--learning-rate", "-1"], "rate=-1.0: must be a number above 0"),
        (["train", "--descent", "newton-raphson"], "newton-raphson"),
        (["train", "--data", "nothing.npz"], "nothing.npz: there is no such file"),
        (["train", "--out", "no/such/folder/m"], "no/such/folder"),
        (["train", "--data", "{folder}/nan.npz"], "nan.npz, rows 1 to 4: row 1 holds NaN or infinity"),
        (["evaluate", "{folder}/nothing"], "nothing"),
        (["evaluate", "{folder}/digits.npz"], "digits.npz"),
        (["evaluate", "{folder}/mnist.model", "--data", "{folder}/digits.npz"], "64 inputs.*784"),
        (["predict", "--model", "{folder}/mnist.model", "{folder}/digits.npz"], "digits.npz"),
        (["predict", "--model", "{folder}/mnist.model", "{folder}/blank.png"], "blank.png"),
        (["predict"], "missing argument.*image"),
        (["predict", "{folder}/mnist.model"], "is a model, not a picture; give it by --model"),
        (["check", "--cases", "0"], "cases"),
    ],
)
def test_bad_input_is_one_line_and_exit_code_2(folder, capsys, arguments, message):
    np.savez(folder / "nan.npz", X=np.full((4, 2), np.nan), y=[0, 1, 0, 1])
    Image.new("L", (50, 50), 200).save(folder / "blank.png")
    code, _, err = run(capsys, *(a.format(folder=folder) for a in arguments))
    assert code == 2
    (line,) = err.splitlines()
    assert line.startswith("thetanet: ")

    assert re.search(message, line, re.IGNORECASE)


def test_ctrl_c_keeps_the_network(folder):
    model = folder / "stopped.model"
    child = subprocess.Popen(
        [sys.executable, "-m", "thetanet", "train", "--epochs", "500", "--hidden", "30", "--out", str(model)],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=os.environ,
    )  # fmt: skip
    for line in child.stdout:
        if line.startswith("epoch 2"):
            break
    began = time.monotonic()
    child.send_signal(signal.SIGINT)
    out, _ = child.communicate(timeout=60)
    assert child.returncode == 0
    assert "stopped by Ctrl-C" in out
    assert time.monotonic() - began < 10
    assert ThetaNetClassifier.load(model).theta_.D_H == 30


def test_explain_says_what_was_chosen_and_why(tmp_path, capsys):
    X = np.random.default_rng(0).normal(size=(60, 5))
    np.savez(tmp_path / "small.npz", X=X, y=X[:, 0] > 0)
    arguments = "train", "--data", tmp_path / "small.npz", "--hidden", 6, "--out", tmp_path / "model"
    _, out, _ = run(capsys, *arguments, "--explain")
    assert "6 hidden units; ScaledConjugateGradients(" in out
    assert "60 samples, 5 inputs and 6 units: few steps an epoch, whole passes get further" in out
    _, out, _ = run(capsys, *arguments, "--json")
    assert json.loads(out)["descent"].startswith("ScaledConjugateGradients(")
    _, out, _ = run(capsys, *arguments, "--learning-rate", 0.01, "--json")
    assert json.loads(out)["descent"].startswith("Adam(learning_rate=0.01")


def test_recipes_and_deformations_reach_the_training(folder, capsys):
    common = (
        "train",
        "--data",
        folder / "idx",
        "--epochs",
        2,
        "--hidden",
        6,
        "--out",
        folder / "r",
        "--json",
    )
    plain = json.loads(run(capsys, *common)[1])
    code, out, _ = run(capsys, *common, "--deform", "--pictures", folder / "deformed")
    deformed = json.loads(out)
    assert code == 0
    assert deformed["history"]["error"] != plain["history"]["error"]
    assert (folder / "deformed" / "deformed.png").exists()
    code, out, _ = run(capsys, *common, "--recipe", "standard")
    standard = json.loads(out)
    assert standard["descent"] == repr(thetanet.recipe("standard")["descent"])
    assert standard["D_H"] == 6  # what is said explicitly goes first
    undeformed = json.loads(run(capsys, *common, "--recipe", "standard", "--no-deform")[1])
    assert undeformed["history"]["error"] != standard["history"]["error"]
    code, _, err = run(capsys, *common, "--recipe", "standard", "--learning-rate", 0.1)
    assert code == 2
    assert "--descent" in err


def test_a_student_on_the_command_line(folder, capsys):
    teacher = folder / "teacher.model"
    common = ("train", "--data", folder / "digits.npz", "--hidden", 20, "--epochs", 20, "--json")
    run(capsys, *common, "--out", teacher)
    code, out, _ = run(
        capsys, *common, "--seed", 1, "--teacher", teacher, "--out", folder / "student", "--float16"
    )
    assert code == 0
    assert json.loads(out)["test_accuracy"] > 0.8
    assert (folder / "student").stat().st_size < 0.6 * teacher.stat().st_size


def test_evaluate_with_rejection_robustness_and_pictures(folder, capsys):
    arguments = ["evaluate", folder / "mnist.model", "--reject-below", 0.9, "--robustness"]
    code, out, _ = run(capsys, *arguments, "--json", "--pictures", folder / "answers")
    found = json.loads(out)
    assert code == 0
    assert found["answered"] < 10_000
    assert found["accuracy_answered"] > found["accuracy"]
    assert 0 < found["calibration_error"] < 0.2
    errors = found["robustness"]
    assert errors["as they are"] == pytest.approx(1 - found["accuracy"])
    assert errors["shifted by 3 pixels"] > errors["shifted by 1 pixel"] > errors["as they are"]
    assert {p.name for p in (folder / "answers").iterdir()} == {
        "confusion.png", "reliability.png", "mistakes.png",
    }  # fmt: skip
    code, out, _ = run(capsys, *arguments)
    assert "at least 0.9 sure of" in out
    assert "rotated by 30 degrees" in out


def test_predict_uses_the_model_in_the_package(folder, capsys):
    label = picture(folder / "seven.png")
    code, out, _ = run(capsys, "predict", folder / "seven.png")
    assert (code, out.split(": ")[1][0]) == (0, label)
    code, out, _ = run(capsys, "predict", folder / "seven.png", "--reject-below", 1, "--json")
    assert json.loads(out)[0]["label"] is None
    assert "no answer" in run(capsys, "predict", folder / "seven.png", "--reject-below", 1)[1]


def test_names_and_labels_are_no_markup(tmp_path, capsys):
    rng = np.random.default_rng(0)
    X, y = rng.random((60, 3)), np.array(["[b]", "[/b]", ":smile:"])[rng.integers(0, 3, 60)]
    data, model = tmp_path / "a[old].npz", tmp_path / "run[final].model"
    np.savez(data, X=X, y=y)
    code, out, _ = run(capsys, "train", "--data", data, "--epochs", 2, "--out", model)
    assert code == 0
    assert f"model: {model}" in out
    assert "a[old].npz: 60 samples" in out
    code, out, _ = run(capsys, "evaluate", model, "--data", data)
    assert code == 0
    for label in ("[b]", "[/b]", ":smile:"):
        assert f"{label} " in out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--out", "."), "--out .: is a folder; name a file in it"),
        (("--test", "nowhere.npz"), "--test nowhere.npz: there is no such file or folder"),
        (("--validation-data", "nowhere.npz"), "--validation-data nowhere.npz: there is no such file"),
        (("--validation", 0.1, "--validation-data", "digits.npz"), "--validation-data: give one of them"),
        (("--resume",), "--resume and --every need --checkpoint FOLDER"),
        (("--seed", -1), "Invalid value for '--seed'"),
    ],
)
def test_what_cannot_end_well_is_said_before_the_training(folder, capsys, monkeypatch, arguments, message):
    monkeypatch.chdir(folder)
    code, out, err = run(
        capsys, "train", "--data", "digits.npz", "--epochs", 1, "--out", "odd.model", *arguments
    )
    assert code == 2
    assert message in err
    assert "epoch" not in out
    assert not (folder / "odd.model").exists()
