"""Folders of images: splits and classes, sizes, damaged images."""

import numpy as np
import pytest
from PIL import Image
from sample_files import (
    X,
    Y,
    read_samples,
    write,
    write_class_folders,
)

from thetanet import open_source
from thetanet.data.formats.images import images_source
from thetanet.data.open import open_test_source
from thetanet.data.survey import survey_source
from thetanet.errors import DataFileError

pytestmark = pytest.mark.usefixtures("read_in_parts")


def classes_of(source):
    return sorted(set(read_samples(source)[1].tolist()))


def test_images_are_all_read_with_the_classes_mixed(tmp_path):
    source = write("images", tmp_path)
    found, y = read_samples(source)
    assert sorted(zip(map(bytes, found), y.tolist(), strict=True)) == sorted(
        zip(map(bytes, X), Y.tolist(), strict=True)
    )
    assert all(len(np.unique(labels)) == len(np.unique(Y)) for _, labels in source)
    np.testing.assert_array_equal(read_samples(images_source(tmp_path))[1], y)  # the order is always the same


def test_a_broken_image_is_named_or_counted(tmp_path):
    write("images", tmp_path, X[:20], Y[:20])
    path = next(tmp_path.glob("1/*.png"))
    path.write_bytes(path.read_bytes()[:40])
    with pytest.raises(DataFileError, match=path.name):
        read_samples(open_source(tmp_path))
    with pytest.warns(UserWarning, match="1 bad row skipped, the first at .*" + path.name):
        assert survey_source(open_source(tmp_path, skip_bad=True)).M == 19


def test_images_are_of_one_size_or_brought_to_it(tmp_path):
    from PIL import Image

    write("images", tmp_path, X[:20], Y[:20])
    Image.fromarray(np.full((6, 8), 40, np.uint8)).save(tmp_path / "1" / "large.png")
    with pytest.raises(DataFileError, match=r"pixels, other images .*give size=\(height, width\)"):
        read_samples(open_source(tmp_path))
    found, _ = read_samples(open_source(tmp_path, size=(3, 4)))
    assert (found == 40).all(axis=1).sum() == 1
    assert set(map(bytes, X[:20])) <= set(map(bytes, found))  # those of that size stay as they are
    small, _ = read_samples(open_source(tmp_path, size=(1, 1)))
    np.testing.assert_allclose(np.sort(small.ravel()), np.sort(np.rint(found.mean(axis=1))), atol=1)


def test_an_image_that_changes_is_told(tmp_path):
    source = write("images", tmp_path, X[:20], Y[:20])
    path = next(tmp_path.glob("1/*.png"))
    path.write_bytes(path.read_bytes() + b"\0")
    with pytest.raises(DataFileError, match=rf"{path.name}: has changed"):
        read_samples(source)


@pytest.mark.parametrize("beside", [".cache/huggingface", "annotations", ".git", ".hidden/cat"])
def test_what_lies_beside_train_and_test_is_no_class(tmp_path, beside):
    write_class_folders(tmp_path, "train/cat", "train/dog", "test/cat", "test/dog")
    (tmp_path / beside).mkdir(parents=True)
    (tmp_path / beside / "notes.xml").write_text("<note/>")
    if beside[0] == ".":
        Image.new("L", (3, 3)).save(tmp_path / beside / "0.png")
    assert classes_of(open_source(tmp_path)) == ["cat", "dog"]
    assert classes_of(open_test_source(tmp_path)) == ["cat", "dog"]


def test_a_folder_that_may_be_a_split_or_a_class_is_told(tmp_path):
    write_class_folders(tmp_path / "a", "train/cat", "train/dog", "test/cat", "extra/cat")
    with pytest.raises(
        DataFileError, match=r"images in train/ and in extra/; if train/ is what to train on, g"
    ):
        open_source(tmp_path / "a")
    write_class_folders(tmp_path / "b", "train", "test", "other")
    with pytest.raises(DataFileError, match="if it is a class, give it another name"):
        open_source(tmp_path / "b")
    write_class_folders(tmp_path / "c", "train/cat", "Training/cat")
    with pytest.raises(DataFileError, match="images in Training/ and in train/; remove one"):
        open_source(tmp_path / "c")
    write_class_folders(tmp_path / "d", "train", "bus", "car")
    assert classes_of(open_source(tmp_path / "d")) == ["bus", "car", "train"]


def test_hidden_folders_within_a_class_hold_no_samples(tmp_path):
    write_class_folders(tmp_path, "cat", "dog", "cat/.ipynb_checkpoints")
    assert len(read_samples(open_source(tmp_path))[1]) == 4
