"""Training that is stopped and goes on takes the same steps, to the bit, as one that was never stopped."""

import errno
import json
import os
import random
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from scipy import sparse

from thetanet import Adam, Checkpoints, ThetaNetClassifier
from thetanet.descent import METHODS, resolve
from thetanet.errors import CheckpointError, CheckpointWarning, InputError
from thetanet.models.model_file import load_model
from thetanet.training import checkpoints


def problem(kind="dense", M=300):
    rng = np.random.default_rng(1)
    X = rng.random((M, 12)) * (rng.random((M, 12)) < 0.4)
    y = (X[:, 0] + X[:, 1] > X[:, 2]).astype(int) + (X[:, 3] > 0.5)
    if kind == "sparse":
        return sparse.csr_matrix(X), y
    return (X * 255).astype(np.uint8) if kind == "pixels" else X, y


def net(**options):
    return ThetaNetClassifier(**{"hidden": 9, "epochs": 5, "batch_size": 32, "random_state": 0} | options)


def without_seconds(history):
    return {name: values for name, values in history.items() if name != "seconds"}


@pytest.mark.parametrize("descent", METHODS)
@pytest.mark.parametrize("kind", ["dense", "sparse", "pixels"])
def test_going_on_from_any_checkpoint_gives_the_same_bits(tmp_path, descent, kind):
    X, y = problem(kind)
    whole = net(descent=descent, epochs=4).fit(X, y)
    every = 1 if resolve(descent).whole_passes else 7  # of 10 steps an epoch: most lie within one
    net(descent=descent, epochs=4).fit(X, y, checkpoint=Checkpoints(tmp_path, every=every, keep=99))
    files = sorted(tmp_path.iterdir())
    assert len(files) >= 4
    for number in range(len(files), 0, -1):
        for file in files[number:]:
            file.unlink(missing_ok=True)
        again = net(descent=descent, epochs=4, random_state=None)  # the checkpoint knows
        again.fit(X, y, checkpoint=Checkpoints(tmp_path, every=1000, keep=99), resume=True)
        assert again.theta_ == whole.theta_
        assert without_seconds(again.history_) == without_seconds(whole.history_)
        for file in set(tmp_path.iterdir()) - set(files):
            file.unlink()


def test_early_stopping_goes_on_as_well(tmp_path):
    X, y = problem()
    options = {"epochs": 60, "patience": 3, "descent": Adam(learning_rate=0.3)}
    held = {"X_val": X[:100], "y_val": y[:100]}
    whole = net(**options).fit(X[100:], y[100:], **held)
    assert len(whole.history_["epoch"]) < 60
    records = net(**options).iter_fit(X[100:], y[100:], **held, checkpoint=Checkpoints(tmp_path, every=3))
    for _ in range(whole.best_epoch_ + 2):
        next(records)
    records.close()
    again = net(**options).fit(X[100:], y[100:], **held, checkpoint=tmp_path, resume=True)
    assert again.theta_ == whole.theta_
    assert again.best_epoch_ == whole.best_epoch_
    assert without_seconds(again.history_) == without_seconds(whole.history_)


def test_a_finished_training_is_not_repeated(tmp_path):
    X, y = problem()
    first = net().fit(X, y, checkpoint=str(tmp_path))
    again = net()
    assert list(again.iter_fit(X, y, checkpoint=str(tmp_path), resume=True)) == []
    assert again.theta_ == first.theta_
    assert again.history_ == first.history_


def test_without_a_checkpoint_resume_begins_afresh(tmp_path):
    X, y = problem()
    assert net().fit(X, y, checkpoint=tmp_path / "new", resume=True).theta_ == net().fit(X, y).theta_
    with pytest.raises(InputError, match="resume=True: say from where"):
        net().fit(X, y, resume=True)


def test_only_the_newest_are_kept(tmp_path):
    X, y = problem()
    net().fit(X, y, checkpoint=Checkpoints(tmp_path, every=1, keep=2))
    assert len(list(tmp_path.iterdir())) == 2
    with pytest.raises(InputError, match="keep=0"):
        Checkpoints(tmp_path, keep=0)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"batch_size": 16}, "batch_size=32, not 16"),
        ({"epochs": 6}, "epochs=5, not 6"),
        ({"hidden": 8}, "hidden=9, not 8"),
        ({"alpha": 1.0}, "alpha=0.5, not 1.0"),
        ({"descent": "sgd"}, "descent=Adam"),
    ],
)
def test_a_checkpoint_of_another_training_is_refused(tmp_path, change, message):
    X, y = problem()
    net().fit(X, y, checkpoint=tmp_path)
    with pytest.raises(CheckpointError, match=message):
        net(**change).fit(X, y, checkpoint=tmp_path, resume=True)


def test_a_checkpoint_of_other_data_is_refused(tmp_path):
    X, y = problem()
    net().fit(X, y, checkpoint=tmp_path)
    X = X.copy()
    X[17, 3] += 1e-9
    with pytest.raises(CheckpointError, match="data="):
        net().fit(X, y, checkpoint=tmp_path, resume=True)


def test_a_damaged_checkpoint_is_passed_over(tmp_path):
    X, y = problem()
    whole = net().fit(X, y, checkpoint=Checkpoints(tmp_path, every=11, keep=2))
    older, newest = sorted(tmp_path.iterdir())
    content = newest.read_bytes()
    for damaged in (content[: len(content) // 2], b"", b"nothing", content[:500] + b"x" + content[501:]):
        newest.write_bytes(damaged)
        with pytest.warns(CheckpointWarning, match="damaged"):
            again = net().fit(X, y, checkpoint=Checkpoints(tmp_path, every=1000, keep=2), resume=True)
        assert again.theta_ == whole.theta_
    older.write_bytes(b"")
    newest.write_bytes(b"")
    with pytest.warns(CheckpointWarning), pytest.raises(CheckpointError, match="all checkpoints are damaged"):
        net().fit(X, y, checkpoint=tmp_path, resume=True)


def test_a_full_disk_is_one_warning_and_the_last_checkpoint_stays(tmp_path, monkeypatch):
    X, y = problem()
    whole, written = net().fit(X, y), []
    write = checkpoints.write_atomically

    def filling(path, parts):
        if len(written) >= 3:
            raise OSError(errno.ENOSPC, "No space left on device")
        written.append(path)
        write(path, parts)

    monkeypatch.setattr(checkpoints, "write_atomically", filling)
    with pytest.warns(CheckpointWarning, match="No space left on device.*goes on") as caught:
        end = net().fit(X, y, checkpoint=Checkpoints(tmp_path, every=4))
    assert len(caught) == 1
    assert end.theta_ == whole.theta_
    monkeypatch.undo()
    again = net().fit(X, y, checkpoint=Checkpoints(tmp_path, every=4), resume=True)
    assert again.theta_ == whole.theta_


def test_a_folder_that_cannot_be_written_is_one_warning(tmp_path):
    X, y = problem()
    (tmp_path / "file").write_text("in the way")
    with pytest.warns(CheckpointWarning, match="no checkpoint could be written") as caught:
        net().fit(X, y, checkpoint=Checkpoints(tmp_path / "file", every=5))
    assert len(caught) == 1


def kill_and_resume(folder, kills, seed):
    """Train by the command line, kill it again and again; returns how often, and compares the ends."""
    X, y = problem("pixels", M=4000)
    np.savez(folder / "data.npz", X=X, y=y)
    command = [sys.executable, "-m", "thetanet", "train", "--data", str(folder / "data.npz"),
               "--hidden", "40", "--epochs", "60", "--batch-size", "16", "--json"]  # fmt: skip
    stopped = [*command, "--out", str(folder / "b"), "--checkpoint", str(folder / "c"), "--every", "97",
               "--resume"]  # fmt: skip
    began = time.monotonic()
    whole = subprocess.run([*command, "--out", str(folder / "a")], check=True, capture_output=True)
    duration, killed, rng = time.monotonic() - began, 0, random.Random(seed)
    while True:
        process = subprocess.Popen(stopped, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        try:
            moment = rng.uniform(0.3, 1.1) * duration if killed < kills else None
            report, complaint = process.communicate(timeout=moment)
            assert process.returncode == 0, complaint
            if killed >= kills:
                break
            for file in (folder / "c").iterdir():  # it was quicker than the kill: once more from the start
                file.unlink()
        except subprocess.TimeoutExpired:
            os.kill(process.pid, signal.SIGKILL)
            process.communicate()
            killed += 1
    ends = [load_model(folder / name) for name in "ab"]
    assert ends[0].theta == ends[1].theta
    histories = [without_seconds(json.loads(text)["history"]) for text in (whole.stdout, report)]
    assert histories[0] == histories[1]
    return killed


def test_a_killed_training_goes_on_to_the_same_bits(tmp_path):
    assert kill_and_resume(tmp_path, kills=3, seed=0) == 3


@pytest.mark.soak
def test_a_training_killed_fifty_times_goes_on_to_the_same_bits(tmp_path):
    assert kill_and_resume(tmp_path, kills=50, seed=1) == 50


def test_checkpoints_of_an_earlier_training_are_not_mixed_with_new_ones(halves, tmp_path):
    X, y = halves
    net(random_state=1).fit(X, y, checkpoint=tmp_path)
    files = sorted(tmp_path.iterdir())
    with pytest.raises(CheckpointError, match="holds the checkpoints of an earlier"):
        net(random_state=2).fit(X, y, checkpoint=tmp_path)
    with pytest.raises(CheckpointError, match="was made with random_state=1, not 2"):
        net(random_state=2).fit(X, y, checkpoint=tmp_path, resume=True)
    assert sorted(tmp_path.iterdir()) == files


def test_a_part_held_out_at_random_cannot_be_found_again(halves, tmp_path):
    X, y = halves
    with pytest.raises(InputError, match="give random_state=0, or X_val"):
        net(random_state=None, patience=3).fit(X, y, checkpoint=tmp_path)
