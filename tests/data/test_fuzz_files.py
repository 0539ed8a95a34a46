"""Thousands of damaged files: each gives a right reading or our own error, at little memory.

Both readers are Python, NumPy and zlib, which allocate through Python's allocators, so that tracemalloc sees
all that they take; test_idx.py asks the operating system too. One file in 16 goes through the disk.
"""

import copy
import gzip
import hashlib
import io
import json
import struct
import tracemalloc
from collections import Counter

import numpy as np
import pytest

from thetanet.data.formats.idx import parse_idx, read_idx
from thetanet.errors import DataFileError, ModelFileError
from thetanet.models.model_file import Model, load_model, read_model, save_model
from thetanet.theta import Theta

MEMORY = 64_000_000


def for_each_draw(count, check):
    """Call `check` with 30 random bytes, which say what happens to a file, `count` times.

    Hypothesis takes ten times as long for such bytes. A failure names its draw.
    """
    numbers = np.random.default_rng(0).bytes(30 * count)
    for at in range(0, len(numbers), 30):
        draw = numbers[at : at + 30]
        try:
            check(draw)
        except BaseException as failure:
            failure.add_note(f"draw {at // 30}: bytes.fromhex({draw.hex()!r})")
            raise


def decode(draw, changes):
    """Return three free numbers and one to three steps: a change and two numbers for it."""
    first, second, third, *rest = struct.unpack("<3B" + "BII" * 3, draw)
    steps = [(changes[c % len(changes)], a, b) for c, a, b in zip(*[iter(rest)] * 3, strict=True)]
    return first, second, third, steps[: 1 + third % 3]


def flip(data, a, b):
    data[a % len(data)] ^= 1 << b % 8


def put(data, a, b):
    data[a % len(data)] = b % 256


def cut(data, a, b):
    del data[a % len(data) :]


def remove(data, a, b):
    a %= len(data)
    del data[a : a + 1 + b % 16]


def insert(data, a, b):
    data[a % (len(data) + 1) : 0] = b.to_bytes(4, "big")[: 1 + b % 4]


def repeat(data, a, b):
    a %= len(data)
    data[a:a] = data[a : a + 1 + b % 64]


def append(data, a, b):
    data += b.to_bytes(4, "big")[: 1 + a % 4]


def zero(data, a, b):
    a %= len(data)
    data[a : a + 1 + b % 8] = bytes(len(data[a : a + 1 + b % 8]))


def near_start(change):
    return lambda data, a, b: change(data, a % 24, b)


ANYWHERE = [flip, put, cut, remove, insert, repeat, append, zero]
START = [near_start(change) for change in (flip, put, remove, insert, zero)]


def mutate(content, steps, others):
    data = bytearray(content)
    for change, a, b in steps:
        if not data:
            break
        if change == "splice":  # the beginning of this file, the end of another
            other = others[b % len(others)]
            data[a % len(data) :] = other[a % len(other) :]
        elif change == "announce":  # one of IDX's numbers replaced by a telling one
            at, value = 4 + 4 * (a % 4), [0, 1, 2, 2**16, 2**31 - 1, 2**31, 2**32 - 1][b % 7]
            data[at : at + 4] = value.to_bytes(4, "big")
        else:
            change(data, a, b)
    return bytes(data)


def measured(read, parse, error, content, path):
    """Return what the reader gives, None for its own error; any other exception fails the test.

    With a path, the content goes through a file; files take ten times as long as all the rest.
    """
    if path is not None:
        path.write_bytes(content)
    result, message = None, str(path)
    tracemalloc.start()
    try:
        result = parse(io.BytesIO(content)) if path is None else read(path)
    except error as caught:
        message = str(caught)
    finally:
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert str(path) in message or path is None
    assert peak < MEMORY
    return result


def read_any_idx(content, path):
    return measured(read_idx, lambda stream: parse_idx(stream, "name"), DataFileError, content, path)


def read_any_model(content, path):
    return measured(load_model, read_model, ModelFileError, content, path)


RNG = np.random.default_rng(0)
LAYOUT = {8: ">u1", 9: ">i1", 11: ">i2", 12: ">i4", 13: ">f4", 14: ">f8"}


def idx(code, *shape):
    body = RNG.integers(0, 100, shape).astype(LAYOUT[code]).tobytes()
    return bytes([0, 0, code, len(shape)]) + struct.pack(f">{len(shape)}I", *shape) + body


IDX = [
    idx(8, 3, 4, 4),
    idx(8, 9),
    idx(11, 2, 5),
    idx(13, 3, 2, 2),
    idx(14, 4),
    idx(12, 1, 1, 1, 3),
    idx(9, 200),
]
IDX_GZ = [gzip.compress(content, mtime=0) for content in IDX]


def encode(array):
    code = {np.dtype(layout).newbyteorder("="): code for code, layout in LAYOUT.items()}[array.dtype]
    start = bytes([0, 0, code, array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape)
    return start + array.astype(LAYOUT[code]).tobytes()


def readable(content):
    """Judge plain IDX content independently of the reader, by its length."""
    if len(content) < 4 or content[:2] != b"\0\0" or content[2] not in LAYOUT or not 1 <= content[3] <= 64:
        return False
    start, size = 4 + 4 * content[3], np.dtype(LAYOUT[content[2]]).itemsize
    for i in range(4, start, 4):
        size *= int.from_bytes(content[i : i + 4], "big")
    return len(content) > start and start + size == len(content)


def test_10000_mutated_idx_files(tmp_path):
    path, seen = tmp_path / "file", Counter()

    def check(draw):
        i, kind, rest, steps = decode(draw, [*ANYWHERE, *START, "splice", "announce"])
        i, kind = i % len(IDX), ["plain", "packed after", "packed before"][kind % 3]
        if kind == "packed before":
            content = mutate(IDX_GZ[i], steps, IDX_GZ)
        else:
            content = mutate(IDX[i], steps, IDX)
            content = gzip.compress(content, 1) if kind == "packed after" else content
        array = read_any_idx(content, path if rest < 16 else None)
        seen[kind, array is not None] += 1
        if array is not None:
            plain = gzip.decompress(content) if content[:2] == b"\x1f\x8b" else content
            assert encode(array) == plain
        elif kind == "packed after":
            assert not readable(gzip.decompress(content))
        elif kind == "plain" and content[:2] != b"\x1f\x8b":
            assert not readable(content)

    for_each_draw(10_000, check)
    assert sum(seen.values()) >= 10_000
    # The fuzz is worth something only if it gets past the gates and is stopped by them, of each kind.
    assert min(seen[key] for key in seen) > 100
    assert len(seen) == 6


MODELS = [
    Model(Theta.random(3, 2, 2, seed=1, dtype=np.float32)),
    Model(
        Theta.random(4, 3, 3, seed=2),
        np.array(["a", "ü", "長い"]),
        True,
        ["w", "x", "y", "z"],
        (2, 2),
        {"kind": "pixels", "by": 255.0},
        {"history": [{"epoch": 1, "error": 0.25}], "seed": 0},
    ),
    Model(Theta.random(2, 2, 1, seed=3, dtype=np.float32), np.array([False, True]), input_shape=(1, 2)),
    Model(Theta.random(2, 3, 2, seed=4, dtype=np.float32), np.array([-1.5, 1e-300])),
]


@pytest.fixture(scope="module")
def contents(tmp_path_factory):
    path = tmp_path_factory.mktemp("models") / "model"
    result = []
    for model in MODELS:
        save_model(path, model)
        result.append(path.read_bytes())
    return result


def test_10000_mutated_model_files(tmp_path, contents):
    path, seen = tmp_path / "file", Counter()

    def check(draw):
        i, _, rest, steps = decode(draw, [*ANYWHERE, *START, "splice"])
        i %= len(MODELS)
        content = mutate(contents[i], steps, contents)
        model = read_any_model(content, path if rest < 16 else None)
        seen[model is not None] += 1
        # A whole other model may come of a splice at its very beginning.
        assert model is None or model in MODELS
        if "splice" not in [step[0] for step in steps]:
            assert model is None or model == MODELS[i]

    for_each_draw(10_000, check)
    assert seen.total() >= 10_000
    assert min(seen[True], seen[False]) > 50


# fmt: off
STRANGE = [
    None, True, 0, 1, -1, 2, 2**31, 2**63, 2**64, 10**400, 0.0, 1e308, float("nan"), float("inf"),
    "", "0", "F16", "F32", "F64", "BF16", "null", "[]", "{}", "NaN", "1e999", "\ud800", "\0",
    "9" * 5000, "[" * 3000, '{"a": ' * 100 + "0" + "}" * 100, '{"a": 1, "a": 2}',
    '{"dtype": "int8", "values": [1, 300]}', '{"dtype": "int8", "values": [1, 2.5]}',
    '{"dtype": "str", "values": ["a", 5]}', '{"dtype": "str", "values": ["a\\u0000", "b"]}',
    '{"dtype": "str", "values": []}', '{"dtype": "float16", "values": [1e300, 1.0]}',
    '{"dtype": "object", "values": [1, 2]}', '{"dtype": ["str"], "values": {"a": 1}}',
    '{"dtype": "bool", "values": [[true], [false]]}', '{"dtype": "str", "values": "ab"}',
    "[1, 2, 3]", "[-1, -2]", "[2, true]", '["a", "b"]',
    [], {}, [0, 0], [2, 2], [[2], [2]], [2**62, 2**62], [-4, -2],
    {"dtype": "F32", "shape": [1, 1], "data_offsets": [0, 4]},
]
# fmt: on
STRANGE += [[value] * 2 for value in STRANGE[:12]]


def slots(value):
    """Yield every (container, key) in a JSON value."""
    for key in list(value) if isinstance(value, dict) else range(len(value)):
        yield value, key
        if isinstance(value[key], (dict, list)):
            yield from slots(value[key])


def surgery(header, steps):
    for change, a, b in steps:
        places = list(slots(header))
        if not places:
            return
        container, key = places[a % len(places)]
        if change == "replace":
            container[key] = copy.deepcopy(STRANGE[b % len(STRANGE)])
        elif change == "drop":
            del container[key]
        elif change == "swap":
            other, at = places[b % len(places)]
            container[key], other[at] = copy.deepcopy((other[at], container[key]))
        elif isinstance(container, dict):
            container[["x", "Theta1", "Theta2", "__metadata__", "dtype"][b % 5]] = container.pop(key)
        else:
            container.insert(b % 3, container[key])


def sign(header, body):
    """Give a forged header the checksum that belongs to it, where it still has all the parts for one."""
    try:
        fields = dict(header["__metadata__"])
        fields.pop("sha256", None)
        one, two = header["Theta1"], header["Theta2"]
        about = [fields, one["dtype"], [one["shape"][0] - 1, one["shape"][1], two["shape"][1]]]
        text = json.dumps(about, sort_keys=True, separators=(",", ":"))
        header["__metadata__"]["sha256"] = hashlib.sha256(text.encode() + body).hexdigest()
    except (KeyError, IndexError, TypeError, ValueError):
        pass


@pytest.mark.parametrize("signed", [False, True])
def test_5000_model_files_with_a_forged_header(tmp_path, contents, signed):
    path, seen = tmp_path / "file", Counter()

    def check(draw):
        i, special, rest, steps = decode(draw, ["replace", "replace", "drop", "swap", "rename"])
        i, special = i % len(MODELS), special % 10
        n = int.from_bytes(contents[i][:8], "little")
        header, body = json.loads(contents[i][8 : 8 + n]), contents[i][8 + n :]
        if special == 0:
            # Only Theta's numbers change; with the right checksum, some are not finite.
            body = body[:-4] + steps[0][1].to_bytes(4, "little")
        elif special < 4 and "__metadata__" in header:
            surgery(header["__metadata__"], steps)
        else:
            surgery(header, steps)
        if signed:
            sign(header, body)
        text = json.dumps(header).encode()
        content = len(text).to_bytes(8, "little") + text + body
        model = read_any_model(content, path if rest < 16 else None)
        seen[model is not None] += 1
        if model is not None and not signed:
            assert model == MODELS[i]
        if model is not None:  # whoever signs may change a model, but only to a sound one
            assert np.isfinite(model.theta.flat).all()
            assert model == model  # has all its parts turned into JSON and checked
            if rest < 16:
                save_model(path, model)
                assert load_model(path) == model

    for_each_draw(5_000, check)
    assert seen.total() >= 5_000
    assert min(seen[True], seen[False]) > 10


def test_the_fuzz_itself_notices_memory():
    def greedy(stream):
        return bytearray(MEMORY + 1)

    with pytest.raises(AssertionError):
        measured(greedy, greedy, DataFileError, b"", None)
