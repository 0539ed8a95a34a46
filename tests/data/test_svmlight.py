"""svmlight files: where indices begin, and what is wrong with a line."""

import json

import numpy as np
import pytest
from sample_files import read_samples, survey_quietly, write

from thetanet import open_source
from thetanet.cli import main
from thetanet.data.formats.svmlight import svmlight_source
from thetanet.data.survey import survey_source
from thetanet.errors import DataFileError, InputError

pytestmark = pytest.mark.usefixtures("read_in_parts")


def test_indices_begin_at_0_in_all_files_if_they_do_in_one(tmp_path):
    (tmp_path / "a.svm").write_text("1 1:5 3:6\n2 2:7\n")
    (tmp_path / "b.svm").write_text("1 0:5\n")
    found, _ = read_samples(open_source(tmp_path))
    np.testing.assert_array_equal(found, [[0, 5, 0, 6], [0, 0, 7, 0], [5, 0, 0, 0]])
    assert read_samples(open_source(tmp_path / "a.svm"))[0].shape == (2, 3)
    assert read_samples(svmlight_source(tmp_path / "a.svm", n_features=9))[0].shape == (2, 9)


@pytest.mark.parametrize(
    ("row", "says"),
    [
        ("x 1:2", "label b'x' is no number"),
        ("1 a:2", "b'a:2' is not index:value"),
        ("1 1:a 2:3", "could not convert"),
        ("1 2:1 1:1 3:1", "sorted"),
        ("1 1:nan 2:2", "NaN"),
        ("1 1:2 99999999:1", "is above 10,000,000; give n_features"),
    ],
)
def test_what_is_wrong_with_a_line_of_svmlight(tmp_path, row, says):
    (tmp_path / "d.svm").write_text(f"1 1:2 2:3\n0 1:3\n\n{row}\n1 3:4\n")
    with pytest.raises(DataFileError, match="line 4") as caught:
        read_samples(open_source(tmp_path / "d.svm"))
    assert says in str(caught.value)
    with pytest.warns(UserWarning, match="1 bad row skipped, the first at line 4"):
        assert survey_source(open_source(tmp_path / "d.svm", skip_bad=True)).M == 3


def test_test_data_of_svmlight_has_the_inputs_of_the_training_data(tmp_path, capsys):
    (tmp_path / "train.svm").write_text("1 0:1 5:2\n0 1:3\n" * 20)  # indices from 0
    (tmp_path / "test.svm").write_text("1 5:2\n0 1:3\n")  # which is not to be seen here
    train, test, model = (str(tmp_path / name) for name in ("train.svm", "test.svm", "m"))
    fit = ["train", "--data", train, "--hidden", "4", "--epochs", "30", "--out", model, "--json"]
    assert main([*fit, "--test", test, "--validation-data", test]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["D_I"] == 6
    assert report["test_accuracy"] == 1
    assert main(["evaluate", model, "--data", test, "--zero-based", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["error"] == report["test_error"]
    write("npz", tmp_path)
    with pytest.raises(InputError, match="zero_based=False: has no meaning"):
        open_source(tmp_path / "d.npz", zero_based=False)


@pytest.mark.parametrize("bad", ["1 2:x 900:1", "1 5:1 3:1 900:1", "nan 900:1", "1 0:x 3:1", "2.5 3:x 4:1"])
def test_a_line_that_is_left_out_says_nothing_of_the_others(tmp_path, bad):
    (tmp_path / "d.svm").write_text("\n".join(["0 1:1 3:2", bad, "1 2:1"]) + "\n")
    source = open_source(tmp_path / "d.svm", skip_bad=True)
    assert survey_quietly(source).M == 2
    X, y = read_samples(source)
    assert X.tolist() == [[1, 0, 2], [0, 1, 0]]
    assert y.dtype.kind == "i"
