"""Model files: a trained network and everything that is needed to use it, in one safetensors file.

The file contains the tensors `Theta1` and `Theta2` and string metadata; any safetensors library reads it.
We write and read the format (8 bytes of length, a JSON header, the numbers) ourselves: the same model always
gives the same bytes, and every byte of an unknown file is checked before it is used. The checksum finds
damage and changes; it is no signature, whoever changes a file on purpose can compute it anew.
"""

from __future__ import annotations

import hashlib
import io
import json
import math
import os
import re
import stat
from dataclasses import dataclass, field
from importlib import metadata
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from thetanet.errors import InputError, ModelFileError
from thetanet.models.atomic import write_atomically
from thetanet.theta import Theta

_FORMAT, _VERSION = "thetanet-model", "1"
_TYPES: dict[str, np.dtype[Any]] = {"F16": np.dtype("<f2"), "F32": np.dtype("<f4"), "F64": np.dtype("<f8")}
_JSON_KEYS = ("classes", "multilabel", "feature_names", "input_shape", "scaling", "training")
_KEYS = {"format", "format_version", "thetanet_version", "sha256", *_JSON_KEYS}
_LABEL_TYPES = {"str"} | {np.dtype(code).name for code in "?bhiqBHIQefd"}
# Python objects take up to 25 times the room of their JSON, so the limits keep a hostile header harmless.
_HEADER_LIMIT = 4 << 20
_VALUE_LIMIT, _DEPTH_LIMIT = 250_000, 64
_LABEL_LIMIT = 16 << 20  # NumPy gives every text label the room of the longest one
_DAMAGED = "the file is damaged or incomplete: copy or save it again"
_FOREIGN = "give a file that was saved by thetanet"


@dataclass(eq=False)
class Model:
    """A trained network with what is needed to use it.

    Parameters
    ----------
    theta : Theta
        The network.
    classes : array of shape (D_O,) or (2,) if D_O = 1, optional
        Labels (whole numbers, floats, booleans or texts), for multi-label names of the outputs.
    multilabel : bool
        Whether each output is an independent yes-or-no answer.
    feature_names : list of D_I texts, optional
        Names of the inputs.
    input_shape : tuple, optional
        Shape of one sample before it was flattened, such as (28, 28).
    scaling, training : dict
        What was folded into Theta1, and how the network was trained: anything that JSON can express.
    """

    theta: Theta
    classes: NDArray[Any] | None = None
    multilabel: bool = False
    feature_names: list[str] | None = None
    input_shape: tuple[int, ...] | None = None
    scaling: dict[str, Any] = field(default_factory=dict)
    training: dict[str, Any] = field(default_factory=dict)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Model):
            return NotImplemented
        return self.theta == other.theta and _encode_fields(self) == _encode_fields(other)


def save_model(path: str | os.PathLike[str], model: Model, dtype: DTypeLike | None = None) -> None:
    """Save a model; the file at `path` is at every moment either the old one or the complete new one.

    The bytes go to a temporary file in the same folder, which then takes the place of `path`. If the process
    is killed meanwhile, a `.thetanet-*.tmp` may stay behind; it is never read and can be deleted.

    Parameters
    ----------
    path : path
        The file, customarily with the ending .safetensors. An existing file is replaced and keeps its mode.
    model : Model
        The model to save.
    dtype : NumPy dtype, optional
        float16, float32 or float64: the type in the file. By default that of `model.theta`.

    Raises
    ------
    InputError
        If the model has parts that do not fit each other or that a file cannot hold.
    ModelFileError
        If the file cannot be written.
    """
    header, flat = _encode_model(model, dtype)
    try:
        write_atomically(os.path.realpath(path), [header, flat.view(np.uint8).data])
    except (OSError, ValueError) as error:
        raise ModelFileError(f"{str(path)!r}: not written ({error}); check folder and permissions") from None


def load_model(path: str | os.PathLike[str]) -> Model:
    """Load a model that `save_model` has written; float16 numbers become float32.

    Raises
    ------
    ModelFileError
        If the file is missing, of another kind, damaged, changed, or of a newer version of thetanet.
    """
    try:
        # Opening a pipe would wait for a writer, so check first.
        _require(stat.S_ISREG(os.stat(path).st_mode), "not a regular file", _FOREIGN)
        with open(path, "rb") as stream:
            return read_model(stream)
    except OSError as error:
        problem = f"cannot be read ({error.strerror or error}); check the path and its permissions"
    except MemoryError:
        problem = "does not fit into memory; load it on a larger machine"
    except ValueError as error:  # a ModelFileError, or a path that no file can have
        problem = str(error) if isinstance(error, ModelFileError) else f"not a path ({error}); correct it"
    raise ModelFileError(f"{str(path)!r}: {problem}")


def is_model(path: str | os.PathLike[str]) -> bool:
    """Return whether a file starts like a model file."""
    try:
        with open(path, "rb") as stream:
            return f'"format":"{_FORMAT}"'.encode() in stream.read(200)
    except (OSError, ValueError):
        return False


def read_model(stream: io.BufferedIOBase) -> Model:
    """Read a model from a seekable binary stream that contains nothing else.

    Raises
    ------
    ModelFileError
        If it is not a model, damaged, changed, or of a newer version of thetanet.
    """
    size = stream.seek(0, os.SEEK_END)
    stream.seek(0)
    header, start = _read_header(stream, size)
    fields = _check_metadata(header.get("__metadata__"))
    kind, D_I, D_H, D_O = _check_header(header, fields)
    expected = start + ((D_I + 1) * D_H + (D_H + 1) * D_O) * _TYPES[kind].itemsize
    _require(size >= expected, f"truncated: {size} of {expected} bytes")
    _require(size == expected, f"{size - expected} bytes are left over after the model")
    body = np.empty(expected - start, np.uint8)
    _require(stream.readinto(body.data) == body.size, "truncated while it was read")
    same = fields.pop("sha256") == _compute_checksum(fields, kind, (D_I, D_H, D_O), body)
    _require(same, "the checksum differs: the file was damaged or tampered with")
    flat = body.view(_TYPES[kind]).astype(np.float64 if kind == "F64" else np.float32, copy=False)
    _require(
        np.isfinite(flat).all(), "Theta holds numbers that are not finite", "train and save the model anew"
    )
    try:
        return _decode_fields(Theta.from_flat(flat, D_I, D_H, D_O), fields)
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise ModelFileError(f"the metadata make no sense ({error}); {_FOREIGN}") from None


def _require(condition: object, problem: str, remedy: str = _DAMAGED) -> None:
    """Raise a ModelFileError unless the condition is true."""
    if not condition:
        raise ModelFileError(f"{problem}; {remedy}")


def _read_header(stream: io.BufferedIOBase, size: int) -> tuple[dict[str, Any], int]:
    """Return the JSON header and its end in the file; its length is checked before anything is allocated."""
    prefix = stream.read(8)
    length = int.from_bytes(prefix, "little")
    _require(prefix, "the file is empty")
    is_model = len(prefix) == 8 and 2 <= length <= _HEADER_LIMIT
    _require(is_model, f"not a thetanet model (starts with the bytes {prefix.hex(' ')})", _FOREIGN)
    text = stream.read(length) if length <= size - 8 else b""
    _require(len(text) == length, f"truncated: a header of {length} bytes in a file of {size}")
    try:
        header = _parse_json(text.decode("ascii"))
    except ValueError as error:  # among them UnicodeDecodeError
        problem = "not a thetanet model, or damaged: no proper JSON in the header"
        raise ModelFileError(f"{problem} ({error}); {_FOREIGN}") from None
    _require(isinstance(header, dict), "not a thetanet model: the header is no JSON object", _FOREIGN)
    return header, 8 + length


def _check_metadata(fields: Any) -> dict[str, str]:
    """Return the metadata, after a check of their format, version and keys."""
    known = isinstance(fields, dict) and fields.get("format") == _FORMAT
    _require(known, "not a thetanet model: its metadata do not say so", _FOREIGN)
    version = str(fields.get("format_version"))[:20]
    remedy = "upgrade: pip install -U thetanet" if re.fullmatch("[1-9][0-9]*", version) else _FOREIGN
    _require(version == _VERSION, f"format version {version!a}, but this thetanet reads {_VERSION}", remedy)
    unknown = sorted(fields.keys() ^ _KEYS) or [key for key in fields if not isinstance(fields[key], str)]
    _require(not unknown, f"missing, unknown or strange metadata: {ascii(unknown)[:200]}", _FOREIGN)
    return dict(fields)


def _make_header(fields: dict[str, str], kind: str, D_I: int, D_H: int, D_O: int) -> dict[str, Any]:
    """Return the header of a file with these metadata, dtype and shape."""
    cut, rest = ((rows + 1) * columns * _TYPES[kind].itemsize for rows, columns in ((D_I, D_H), (D_H, D_O)))
    return {
        "__metadata__": fields,
        "Theta1": {"dtype": kind, "shape": [D_I + 1, D_H], "data_offsets": [0, cut]},
        "Theta2": {"dtype": kind, "shape": [D_H + 1, D_O], "data_offsets": [cut, cut + rest]},
    }


def _check_header(header: dict[str, Any], fields: dict[str, str]) -> tuple[str, int, int, int]:
    """Return dtype, D_I, D_H, D_O of a header, after a check that `_make_header` makes the same of them."""
    try:
        one, two = header["Theta1"], header["Theta2"]
        kind, (rows, D_H), (_, D_O) = one["dtype"], one["shape"], two["shape"]
        sensible = kind in _TYPES and all(type(n) is int and 0 < n < 2**48 for n in (rows - 1, D_H, D_O))
    except (KeyError, TypeError, ValueError):
        sensible = False
    same = sensible and _canonical_json(header) == _canonical_json(
        _make_header(fields, kind, rows - 1, D_H, D_O)
    )
    _require(same, "dtypes, shapes or places of Theta1 and Theta2 do not fit, or there are others", _FOREIGN)
    return kind, rows - 1, D_H, D_O


def _encode_model(model: Model, dtype: DTypeLike | None) -> tuple[bytes, NDArray[Any]]:
    """Return the beginning of the file (length and header) and the flat array of its numbers."""
    theta = model.theta
    if not isinstance(theta, Theta):
        raise InputError(f"model.theta is a {type(theta).__name__}; it must be a Theta")
    try:
        flat = np.asarray(theta.flat)
        wanted = flat.dtype if dtype is None else np.dtype(dtype)
    except Exception as error:  # whatever another array library or an odd dtype raises
        raise InputError(f"theta or dtype={dtype!r} cannot be used by NumPy ({error}): convert it") from None
    kind = next((kind for kind, known in _TYPES.items() if known == wanted.newbyteorder("<")), None)
    if kind is None:
        raise InputError(f"dtype {wanted} cannot be saved: give dtype='float16', 'float32' or 'float64'")
    with np.errstate(over="ignore"):
        # Contiguous and little-endian whatever it was: the bytes are written as they lie.
        flat = np.ascontiguousarray(flat, _TYPES[kind])
    if not np.isfinite(flat).all():
        raise InputError(f"theta holds numbers not finite in {wanted}: use a wider dtype or train anew")
    try:
        version = metadata.version("thetanet")
    except metadata.PackageNotFoundError:
        version = "unknown"  # run from a source folder that is not installed
    fields = {
        "format": _FORMAT,
        "format_version": _VERSION,
        "thetanet_version": version,
        **_encode_fields(model),
    }
    fields["sha256"] = _compute_checksum(fields, kind, theta.shape, flat.view(np.uint8))
    text = json.dumps(_make_header(fields, kind, *theta.shape), separators=(",", ":")).encode("ascii")
    text += b" " * (-len(text) % 8)  # so that the numbers are aligned
    if len(text) > _HEADER_LIMIT:
        raise InputError(f"the model's descriptions take {len(text)} bytes, over {_HEADER_LIMIT}: shorten")
    return len(text).to_bytes(8, "little") + text, flat


def _canonical_json(value: Any) -> str:
    """Return JSON that is the same for equal values of equal types: 1, 1.0 and True differ."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"))


def _compute_checksum(
    fields: dict[str, str], kind: str, shape: tuple[int, ...], body: NDArray[np.uint8]
) -> str:
    """Return the SHA-256 of metadata, dtype, shape and numbers."""
    digest = hashlib.sha256(_canonical_json([fields, kind, shape]).encode("ascii"))
    digest.update(body.data)
    return digest.hexdigest()


def _encode_fields(model: Model) -> dict[str, str]:
    """Return all fields but Theta as JSON texts, after a check that they can be decoded."""
    try:
        classes = None if model.classes is None else _encode_labels(model.classes)
        values = (classes, *(getattr(model, key) for key in _JSON_KEYS[1:]))
        # NumPy's numbers and arrays become Python's.
        texts = [json.dumps(v, allow_nan=False, sort_keys=True, default=lambda v: v.tolist()) for v in values]
        fields = dict(zip(_JSON_KEYS, texts, strict=True))
        _decode_fields(model.theta, fields)
    except (AttributeError, TypeError, ValueError, OverflowError, RecursionError) as error:
        raise InputError(f"model cannot be saved: {error}; correct it") from None
    return fields


def _decode_fields(theta: Theta, fields: dict[str, str]) -> Model:
    """Return the model of these JSON texts; a ValueError or OverflowError says what is wrong."""
    classes, multilabel, names, shape, scaling, training = (_parse_json(fields[key]) for key in _JSON_KEYS)
    if not (isinstance(multilabel, bool) and isinstance(scaling, dict) and isinstance(training, dict)):
        raise ValueError("multilabel must be True or False, scaling and training must be dictionaries")
    if names is not None and not (type(names) is list and [*map(type, names)] == [str] * theta.D_I):
        raise ValueError(f"feature_names must be a list of {theta.D_I} texts, one for each input")
    shape = None if shape is None else tuple(shape)
    if shape is not None and ({*map(type, shape)} != {int} or len(shape) > 64 or min(shape) < 1):
        raise ValueError("input_shape must be a tuple of whole numbers, at least 1")
    if shape is not None and math.prod(shape) != theta.D_I:
        raise ValueError(f"input_shape {shape} does not make {theta.D_I} inputs")
    labels = None if classes is None else _decode_labels(classes)
    if labels is not None and len(labels) != theta.D_O and (len(labels), theta.D_O) != (2, 1):
        raise ValueError(f"{len(labels)} classes for {theta.D_O} outputs")
    return Model(theta, labels, multilabel, names, shape, scaling, training)


def _encode_labels(classes: Any) -> dict[str, Any]:
    """Return labels as JSON's types: their dtype and values."""
    array = np.asarray(classes)
    text = array.dtype.kind in "OUT" and all(isinstance(value, str) for value in array.flat)
    kind = "str" if text else array.dtype.name
    if array.ndim != 1 or kind not in _LABEL_TYPES:
        raise InputError(f"classes of shape {array.shape} and dtype {array.dtype}: give one row of labels")
    return {"dtype": kind, "values": array.tolist()}


def _decode_labels(classes: Any) -> NDArray[Any]:
    """Return labels from their JSON; the dtype must represent each value exactly."""
    kind, values = classes["dtype"], classes["values"]
    room = 4 * len(values) * max(map(len, values)) if kind == "str" else 0
    if kind not in _LABEL_TYPES or room > _LABEL_LIMIT:
        raise ValueError("classes of an unknown dtype, or with texts that are too long")
    with np.errstate(all="ignore"):
        array = np.array(values, dtype=kind)
    if _canonical_json(_encode_labels(array)) != _canonical_json(classes):
        raise ValueError(f"classes are not exact as {kind} (a text must not end with a NUL character)")
    return array


def _parse_json(text: str) -> Any:
    """Return the value of strict JSON; any fault raises ValueError."""
    if sum(map(text.count, "[{,")) > _VALUE_LIMIT:
        raise ValueError(f"too many values, over {_VALUE_LIMIT}")
    depth = 0
    # A string may end anywhere, or many unfinished ones would take quadratic time.
    for token in re.finditer(r'"(?:[^"\\]|\\.)*+"?|[\[\]{}]', text):
        depth += {"[": 1, "{": 1, "]": -1, "}": -1}.get(token[0], 0)
        if depth > _DEPTH_LIMIT:
            raise ValueError("nested too deeply")
    value = json.loads(text, object_pairs_hook=_reject_duplicate_keys)
    json.dumps(value, allow_nan=False)  # NaN, Infinity, and 1e999 too
    return value


def _reject_duplicate_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Return the object of these pairs; a key that occurs twice raises ValueError."""
    if len(result := dict(pairs)) != len(pairs):
        raise ValueError("a key occurs twice")
    return result
