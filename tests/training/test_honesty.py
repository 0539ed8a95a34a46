"""No training reads the test files of MNIST before it has ended: chosen is on training images alone."""

import subprocess
import sys
import textwrap

import pytest

# Every file that is opened is heard of, in whatever way; so is the end of a training.
WATCH = """
import sys
from thetanet.training.trainer import Trainer

training, early = [True], []
run = Trainer.run

def watched(*arguments, **options):
    yield from run(*arguments, **options)
    training[0] = False

Trainer.run = watched

def hear(event, arguments):
    if event == "open" and "t10k" in str(arguments[0]):
        early.append(training[0])

sys.addaudithook(hear)
"""

TRAIN = ["train", "--hidden", "8", "--epochs", "1", "--out", "model"]
TRAININGS = {
    "plain": [],
    "validation": ["--validation", "0.1", "--patience", "1", "--pictures", "pictures"],
    "standard": ["--recipe", "standard"],
    "record": ["--recipe", "record"],
    "teacher": ["--deform", "--teacher", "teacher"],
}


def watched(program, tmp_path):
    code = textwrap.dedent(WATCH) + textwrap.dedent(program)
    return subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True)


@pytest.mark.parametrize("name", list(TRAININGS))
def test_training_does_not_see_the_test_files(name, tmp_path):
    program = f"""
    import numpy as np
    from thetanet import ThetaNetClassifier, cli
    X = np.eye(784, dtype=np.uint8)[:20]
    ThetaNetClassifier(hidden=2, epochs=1).fit(X, np.arange(20) % 10).save("teacher")
    training[0] = True
    assert cli.main({TRAIN + TRAININGS[name]}) == 0
    assert not training[0]
    assert early and not any(early), early  # read, but afterwards
    """
    done = watched(program, tmp_path)
    assert done.returncode == 0, done.stderr


def test_the_watch_hears_a_training_that_cheats(tmp_path):
    done = watched(
        "from thetanet import load_mnist\nload_mnist()\nassert early == [True, True], early", tmp_path
    )
    assert done.returncode == 0, done.stderr
