import io
import json
import os
import random
import signal
import stat
import subprocess
import sys
import time
import tracemalloc
from collections import Counter

import numpy as np
import pytest
import safetensors
import safetensors.numpy
from hypothesis import given, settings
from hypothesis import strategies as st

from thetanet.errors import InputError, ModelFileError
from thetanet.models import model_file
from thetanet.models.model_file import Model, load_model, read_model, save_model
from thetanet.theta import Theta

FULL = Model(
    Theta.random(4, 3, 2, seed=1, dtype=np.float32),
    classes=np.array(["nein", "ja ✓"]),
    multilabel=True,
    feature_names=["länge", "b", "c\n", '"'],
    input_shape=(2, 2),
    scaling={"kind": "standard", "mean": [0.1, -0.0, 1e300], "deep": {"a": [None, True]}},
    training={"epochs": 3, "descent": "adam", "seed": 2**70},
)


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    return tmp_path_factory.mktemp("model") / "model.safetensors"


def parts(content):
    """Header and body of a model file, by the definition of safetensors."""
    n = int.from_bytes(content[:8], "little")
    return json.loads(content[8 : 8 + n]), content[8 + n :]


def join(header, body):
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + body


texts = st.text(st.characters(codec=None), max_size=8).map(lambda t: t.rstrip("\0"))
labels = st.one_of(
    st.sampled_from(["int8", "int32", "int64", "uint8", "uint64"]).flatmap(
        lambda d: st.tuples(
            st.just(d), st.lists(st.integers(np.iinfo(d).min, np.iinfo(d).max), min_size=3, max_size=3)
        )
    ),
    st.sampled_from([16, 32, 64]).flatmap(
        lambda w: st.tuples(
            st.just(f"float{w}"),
            st.lists(
                st.floats(width=w, allow_nan=False, allow_infinity=False, allow_subnormal=False),
                min_size=3,
                max_size=3,
            ),
        )
    ),
    st.tuples(st.just("bool"), st.lists(st.booleans(), min_size=3, max_size=3)),
    st.tuples(st.just("str"), st.lists(texts, min_size=3, max_size=3)),
)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=8,
)
dicts = st.dictionaries(texts, json_values, max_size=3)


@settings(max_examples=300, deadline=None, database=None, derandomize=True)
@given(
    st.sampled_from([np.float32, np.float64]),
    st.integers(1, 4),
    st.none() | labels,
    st.booleans(),
    st.none() | st.lists(texts, min_size=6, max_size=6),
    st.sampled_from([None, (6,), (2, 3), (1, 6, 1)]),
    dicts,
    dicts,
)
def test_round_trip_is_exact(file, dtype, D_H, classes, multilabel, names, shape, scaling, training):
    theta = Theta.random(6, D_H, 3, seed=D_H, dtype=dtype)
    array = None if classes is None else np.array(classes[1], dtype=classes[0])
    save_model(file, Model(theta, array, multilabel, names, shape, scaling, training))
    back = load_model(file)
    assert back.theta == theta
    assert back.theta.dtype == dtype
    if classes is None:
        assert back.classes is None
    else:
        assert back.classes.dtype.kind == array.dtype.kind
        assert classes[0] == "str" or back.classes.dtype == array.dtype
        assert repr(back.classes.tolist()) == repr(classes[1])  # repr tells 1, 1.0, True and -0.0 apart
    assert back.multilabel is multilabel
    assert back.feature_names == names
    assert back.input_shape == shape
    assert repr(_sorted(back.scaling)) == repr(_sorted(scaling))
    assert repr(_sorted(back.training)) == repr(_sorted(training))


def _sorted(value):
    if isinstance(value, dict):
        return sorted((key, _sorted(item)) for key, item in value.items())
    return [_sorted(item) for item in value] if isinstance(value, list) else value


def test_a_theta_alone_is_a_model(file):
    theta = Theta.random(3, 2, 1)
    save_model(str(file), Model(theta))
    back = load_model(str(file))
    assert back.theta == theta
    assert (back.classes, back.feature_names, back.input_shape) == (None, None, None)
    assert (back.multilabel, back.scaling, back.training) == (False, {}, {})
    back.theta.flat[0] = 5  # the memory is the model's own
    assert back.theta.one[0, 0] == 5


def test_models_are_equal_only_if_every_field_is(file):
    save_model(file, FULL)
    assert load_model(file) == FULL
    for field, other in [
        ("theta", Theta.random(4, 3, 2, seed=2, dtype=np.float32)),
        ("classes", np.array([0, 1])),
        ("multilabel", False),
        ("feature_names", None),
        ("input_shape", (4,)),
        ("scaling", {}),
        ("training", {}),
    ]:
        changed = load_model(file)
        setattr(changed, field, other)
        assert changed != FULL, field
    assert Model(FULL.theta, np.array([0, 1])) != Model(FULL.theta, np.array([False, True]))


def test_object_and_numpy_labels(file):
    for classes, kind in [(np.array(["a", "bc"], dtype=object), "U"), ([3, 4], "i"), (["x", "y"], "U")]:
        save_model(file, Model(FULL.theta, classes))
        assert load_model(file).classes.dtype.kind == kind
        assert load_model(file).classes.tolist() == list(classes)


def test_numpy_values_are_saved_as_plain_numbers(file):
    save_model(file, Model(FULL.theta, training={"n": np.int64(3), "x": np.float32(0.5), "a": np.arange(3)}))
    assert load_model(file).training == {"n": 3, "x": 0.5, "a": [0, 1, 2]}


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_any_safetensors_library_reads_the_tensors(file, dtype):
    # Fortran order and byte-swapped: what safetensors' own writer would have garbled must not be.
    theta = Theta(
        np.asfortranarray(np.arange(15, dtype=np.float64).reshape(5, 3)),
        np.arange(8, dtype=np.float64).reshape(2, 4).T,
    )
    theta.flat = theta.flat.astype(">f8")
    save_model(file, Model(theta), dtype=dtype)
    tensors = safetensors.numpy.load_file(file)
    assert tensors.keys() == {"Theta1", "Theta2"}
    assert tensors["Theta1"].dtype == dtype
    assert np.array_equal(tensors["Theta1"], np.arange(15).reshape(5, 3))
    assert np.array_equal(tensors["Theta2"], np.arange(8).reshape(2, 4).T)
    with safetensors.safe_open(file, "np") as opened:
        assert opened.metadata()["format"] == "thetanet-model"


def test_the_order_of_the_header_does_not_matter(file):
    save_model(file, FULL)
    with safetensors.safe_open(file, "np") as opened:
        metadata = opened.metadata()
    safetensors.numpy.save_file(safetensors.numpy.load_file(file), file, metadata)
    assert load_model(file) == FULL


def test_float16_halves_the_file_and_loads_as_float32(file):
    theta = Theta.random(20, 10, 3)
    save_model(file, Model(theta), dtype="float16")
    back = load_model(file).theta
    assert len(parts(file.read_bytes())[1]) == 2 * theta.flat.size
    assert back.dtype == np.float32
    assert np.array_equal(back.flat, theta.flat.astype(np.float16).astype(np.float32))


def test_same_model_gives_same_bytes(tmp_path):
    for name in "ab":
        save_model(tmp_path / name, FULL)
    script = (
        "import sys; import thetanet.models.model_file as file; "
        "file.save_model(sys.argv[2], file.load_model(sys.argv[1])); "
        "assert 'sklearn' not in sys.modules and 'pickle' not in vars(file)"
    )
    subprocess.run([sys.executable, "-c", script, str(tmp_path / "a"), str(tmp_path / "c")], check=True)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes() == (tmp_path / "c").read_bytes()


circle = {}
circle["self"] = circle
deep = []
for _ in range(100):
    deep = [deep]


@pytest.mark.parametrize(
    ("model", "expected"),
    [
        (Model(np.zeros((3, 2))), "must be a Theta"),
        (Model(Theta([[1.0], [np.nan]], [[1.0], [1.0]])), "not finite"),
        (Model(Theta([[1e30], [1.0]], [[1.0], [1.0]])), None),
        (Model(FULL.theta, np.arange(3)), "3 classes for 2 outputs"),
        (Model(FULL.theta, np.array([[1, 2]])), "one row of labels"),
        (Model(FULL.theta, np.array([1, "a"], dtype=object)), "one row of labels"),
        (Model(FULL.theta, np.array([1j, 2])), "one row of labels"),
        (Model(FULL.theta, np.array([1.0, np.inf])), "not JSON compliant"),
        (Model(FULL.theta, np.array(["a", "b\0"], dtype=object)), "NUL"),
        (Model(FULL.theta, np.array(["a", "b" * 5_000_000])), "too long"),
        (Model(FULL.theta, multilabel=1), "multilabel"),
        (Model(FULL.theta, feature_names=["a"]), "4 texts"),
        (Model(FULL.theta, feature_names="abcd"), "4 texts"),
        (Model(FULL.theta, feature_names=[1, 2, 3, 4]), "4 texts"),
        (Model(FULL.theta, input_shape=(2, 3)), "does not make 4"),
        (Model(FULL.theta, input_shape=(-2, -2)), "at least 1"),
        (Model(FULL.theta, input_shape=(2.0, 2)), "whole numbers"),
        (Model(FULL.theta, input_shape=4), "cannot be saved"),
        (Model(FULL.theta, scaling=[]), "dictionaries"),
        (Model(FULL.theta, training={"f": len}), "cannot be saved"),
        (Model(FULL.theta, training={"x": float("nan")}), "not JSON compliant"),
        (Model(FULL.theta, training={"x": 10**5000}), "digits"),
        (Model(FULL.theta, training={1: "a", "1": "b"}), "cannot be saved"),
        (Model(FULL.theta, training=circle), "cannot be saved"),
        (Model(FULL.theta, training={"x": deep}), "deep"),
        (Model(FULL.theta, training={"x": [[]] * 200_000}), "too many"),
        (Model(FULL.theta, training={"x": "a" * 5_000_000}), "shorten"),
    ],
)
def test_models_that_a_file_cannot_hold(tmp_path, model, expected):
    path = tmp_path / "model"
    if expected is None:  # fits float64, not float16
        save_model(path, model)
        path.unlink()
        with pytest.raises(InputError, match="not finite in float16"):
            save_model(path, model, dtype=np.float16)
    else:
        with pytest.raises(InputError, match=expected):
            save_model(path, model)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("dtype", ["int32", "nonsense", "complex128", object()])
def test_dtypes_that_a_file_cannot_have(tmp_path, dtype):
    with pytest.raises(InputError, match="dtype"):
        save_model(tmp_path / "model", FULL, dtype=dtype)


def test_a_network_with_one_output_may_have_two_classes(file):
    save_model(file, Model(Theta.random(2, 2, 1), np.array([False, True])))
    assert load_model(file).classes.tolist() == [False, True]


def edit(header=None, metadata=None, raw=None, body=None):
    """Return a function that makes a damaged file of a good one."""

    def change(content):
        old, numbers = parts(content)
        if metadata:
            metadata(old["__metadata__"])
        if header:
            header(old)
        return join(old if raw is None else raw, numbers if body is None else body(numbers))

    return change


DAMAGE = {
    "empty": (lambda c: b"", "empty"),
    "5 bytes": (lambda c: c[:5], "not a thetanet model"),
    "prefix only": (lambda c: c[:8], "truncated"),
    "cut in the header": (lambda c: c[:100], "truncated"),
    "cut by one": (lambda c: c[:-1], "truncated"),
    "one more": (lambda c: c + b"\0", "left over"),
    "a zip file": (lambda c: b"PK\x03\x04" + bytes(200), "not a thetanet model"),
    "a pickle": (lambda c: b"\x80\x04\x95" + bytes(range(5, 100)), "not a thetanet model"),
    "huge header": (lambda c: b"\xff" * 8 + c[8:], "not a thetanet model"),
    "header over the limit": (lambda c: (5 << 20).to_bytes(8, "little") + c[8:], "not a thetanet model"),
    "not JSON": (edit(raw=b"{" * 40), "no proper JSON"),
    "not UTF-8": (edit(raw=b'{"\xff": 1}'), "no proper JSON"),
    "nested": (edit(raw=b'{"a":' + b"[" * 90_000), "nested too deeply"),
    "many lists": (edit(raw=b"[" + b"[]," * 200_000), "too many"),
    "unfinished texts": (edit(raw=b'{"' + rb"\"" * 1_000_000), "no proper JSON"),
    "a list": (edit(raw=b"[1, 2]"), "no JSON object"),
    "huge number": (edit(raw=b'{"a": ' + b"9" * 10_000 + b"}"), "no proper JSON"),
    "NaN": (edit(raw=b'{"a": NaN}'), "no proper JSON"),
    "infinite": (edit(raw=b'{"a": 1e999}'), "no proper JSON"),
    "key twice": (edit(raw=b'{"a": 1, "a": 2}'), "key occurs twice"),
    "no metadata": (edit(lambda h: h.pop("__metadata__")), "not a thetanet model"),
    "metadata no object": (edit(lambda h: h.update(__metadata__=[])), "not a thetanet model"),
    "other format": (edit(metadata=lambda m: m.update(format="pt")), "not a thetanet model"),
    "newer": (edit(metadata=lambda m: m.update(format_version="2")), "upgrade"),
    "odd version": (edit(metadata=lambda m: m.update(format_version="\ud800")), r"version '\\ud800'"),
    "key missing": (edit(metadata=lambda m: m.pop("scaling")), "scaling"),
    "key unknown": (edit(metadata=lambda m: m.update(surprise="")), "surprise"),
    "no text": (edit(metadata=lambda m: m.update(scaling={})), "scaling"),
    "tensor missing": (edit(lambda h: h.pop("Theta2")), "do not fit"),
    "tensor unknown": (edit(lambda h: h.update(Theta3=h["Theta2"])), "there are others"),
    "other dtype": (edit(lambda h: h["Theta1"].update(dtype="I32")), "do not fit"),
    "dtype no text": (edit(lambda h: h["Theta1"].update(dtype=[])), "do not fit"),
    "two dtypes": (edit(lambda h: h["Theta1"].update(dtype="F16")), "do not fit"),
    "negative shape": (edit(lambda h: h["Theta1"].update(shape=[-5, -3])), "do not fit"),
    "transposed": (edit(lambda h: h["Theta1"].update(shape=[3, 5])), "do not fit"),
    "overlap": (edit(lambda h: h["Theta2"].update(data_offsets=[0, 32])), "do not fit"),
    "float offset": (edit(lambda h: h["Theta1"].update(data_offsets=[0.0, 60])), "do not fit"),
    "part unknown": (edit(lambda h: h["Theta1"].update(x=1)), "do not fit"),
    "number changed": (edit(body=lambda b: b[:-1] + bytes([b[-1] ^ 1])), "checksum"),
    "label changed": (
        edit(metadata=lambda m: m.update(classes=m["classes"].replace("ja", "no"))),
        "checksum",
    ),
    "digest changed": (edit(metadata=lambda m: m.update(sha256="0" * 64)), "checksum"),
    "version changed": (edit(metadata=lambda m: m.update(thetanet_version="9")), "checksum"),
}


@pytest.mark.parametrize("name", DAMAGE)
def test_damaged_files_are_named_and_explained(file, name):
    save_model(file, FULL)
    change, expected = DAMAGE[name]
    file.write_bytes(change(file.read_bytes()))
    tracemalloc.start()
    try:
        with pytest.raises(ModelFileError, match=expected) as caught:
            load_model(file)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert str(file) in str(caught.value)
    assert str(caught.value).encode()  # can be printed
    assert peak < 64_000_000


@pytest.mark.parametrize(
    "filler",
    [b'"aa",', b"[],", b'{"a":0},', b'"', b'"\\u1234\\u1234",', b'"0123456789abcdef",', b'\\"', b" "],
)
def test_the_largest_header_is_harmless(filler):
    # As large as allowed and filled with what takes the most memory for each byte of JSON, with as many
    # values as allowed. We parse with Python alone, so that tracemalloc sees every allocation.
    limit = model_file._HEADER_LIMIT
    count = min((limit - 8) // len(filler), model_file._VALUE_LIMIT // (filler.count(b",") or 1) // 2)
    text = b"[" + (filler * count).removesuffix(b",") + b"]"
    text += b" " * (limit - len(text))
    tracemalloc.start()
    try:
        with pytest.raises(ModelFileError):
            read_model(io.BytesIO(join(text, b"")))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 64_000_000


def test_memory_is_a_small_multiple_of_the_file(file):
    save_model(file, Model(Theta.random(1000, 2000, 10, dtype=np.float32)))
    tracemalloc.start()
    try:
        load_model(file)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 2 * file.stat().st_size


def test_paths_that_are_no_files(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    for path, expected in [
        (tmp_path, "not a regular file"),
        (tmp_path / "pipe", "not a regular file"),
        (tmp_path / "absent", "No such file"),
        (tmp_path / ("x" * 300), "cannot be read"),
        ("nul\0byte", "not a path"),
    ]:
        with pytest.raises(ModelFileError, match=expected):
            load_model(path)


def test_paths_that_cannot_be_written(tmp_path):
    for path in (tmp_path / "absent" / "model", tmp_path, "nul\0byte", tmp_path / ("x" * 300)):
        with pytest.raises(ModelFileError, match="not written"):
            save_model(path, FULL)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("step", ["fsync", "replace", "chmod"])
@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), KeyboardInterrupt()])
def test_a_save_that_fails_leaves_the_old_file_and_nothing_else(tmp_path, monkeypatch, step, error):
    path = tmp_path / "model"
    save_model(path, FULL)

    def fail(*_):
        raise error

    monkeypatch.setattr(os, step, fail)
    expected = ModelFileError if isinstance(error, OSError) else KeyboardInterrupt
    with pytest.raises(expected):
        save_model(path, Model(Theta.random(2, 2, 2)))
    monkeypatch.undo()
    assert list(tmp_path.iterdir()) == [path]
    assert load_model(path) == FULL


def test_data_and_folder_reach_the_disk_in_this_order(tmp_path, monkeypatch):
    # A rename before the data are on disk could leave an empty file after a power failure.
    steps = []
    fsync, replace = os.fsync, os.replace
    monkeypatch.setattr(
        os,
        "fsync",
        lambda fd: (steps.append("folder" if stat.S_ISDIR(os.fstat(fd).st_mode) else "file"), fsync(fd)),
    )
    monkeypatch.setattr(os, "replace", lambda a, b: (steps.append("replace"), replace(a, b)))
    save_model(tmp_path / "model", FULL)
    assert steps == ["file", "replace", "folder"]


def test_mode_and_links(tmp_path):
    path, link = tmp_path / "model", tmp_path / "link"
    old = os.umask(0o027)
    try:
        save_model(path, FULL)
        assert stat.S_IMODE(path.stat().st_mode) == 0o640  # a new file obeys the umask
        path.chmod(0o604)
        link.symlink_to(path)
        save_model(link, Model(Theta.random(2, 2, 2)))
    finally:
        os.umask(old)
    assert stat.S_IMODE(path.stat().st_mode) == 0o604  # an old one keeps its mode
    assert link.is_symlink()
    assert load_model(path).theta.shape == (2, 2, 2)


def size(path):
    try:
        return path.stat().st_size
    except FileNotFoundError:  # renamed meanwhile
        return None


def test_a_kill_at_any_moment_leaves_a_whole_file(tmp_path):
    path = tmp_path / "model"
    script = """
import sys, numpy as np
from thetanet.models.model_file import Model, save_model
from thetanet.theta import Theta
models = [Model(Theta.random(784, 900, 10, seed=s, dtype=np.float32), np.arange(10)) for s in (0, 1)]
for i in range(200):
    save_model(sys.argv[1], models[i % 2])
    print(i, flush=True)
"""
    models = [Model(Theta.random(784, 900, 10, seed=s, dtype=np.float32), np.arange(10)) for s in (0, 1)]
    save_model(path, models[0])
    full, rng, partial = path.stat().st_size, random.Random(0), Counter()
    for round in range(12):
        child = subprocess.Popen([sys.executable, "-c", script, str(path)], stdout=subprocess.PIPE)
        try:
            for _ in range(rng.randint(1, 15)):
                assert child.stdout.readline()
            if round % 3 == 0:  # any moment
                with pytest.raises(subprocess.TimeoutExpired):
                    child.wait(rng.uniform(0, 0.03))
            else:  # a delicate moment: a file is there, but only a part of it; `model` should never be so
                end = time.monotonic() + (5 if round % 3 == 1 else 0.3)  # busy machines take their time
                while time.monotonic() < end:
                    names = os.listdir(tmp_path) if round % 3 == 1 else ["model"]
                    if any(size(tmp_path / name) not in (None, full) for name in names):
                        partial[round % 3] += 1
                        break
        finally:
            child.kill()
            child.wait()
            child.stdout.close()
        assert child.returncode == -signal.SIGKILL
        assert load_model(path) in models
        for left in tmp_path.glob(".thetanet-*.tmp"):
            left.unlink()
    assert partial[1] >= 1  # some kills did hit a half-written file
    assert partial[2] == 0
    # What a kill may leave behind harms no later save, and is not taken for the model.
    (tmp_path / ".thetanet-0123456789abcdef.tmp").write_bytes(b"half a mod")
    save_model(path, FULL)
    assert load_model(path) == FULL
    assert {p.name[:10] for p in tmp_path.iterdir()} == {"model", ".thetanet-"}
