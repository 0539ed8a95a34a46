"""What the API takes and gives, as pydantic models: OpenAPI is made of them."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from thetanet.descent import METHODS

Method = StrEnum("Method", ["auto", *METHODS])  # type: ignore[misc]


def _as_whole_number(value: object) -> object:
    """Take 100.0 for 100, as JSON does, but no text and no truth value."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


_Whole = BeforeValidator(_as_whole_number)


_NO_RATE: list[Any] = [
    name for name, method in METHODS.items() if "learning_rate" not in method.__dataclass_fields__
]
_WHOLE_PASSES: list[Any] = [name for name, method in METHODS.items() if method.whole_passes]


def _forbid(descents: list[Any], **properties: Any) -> dict[str, Any]:
    """Return the JSON schema of settings that some methods do not have."""
    return {
        "if": {"properties": {"descent": {"enum": descents}}, "required": ["descent"]},
        "then": {"properties": properties},
    }


class Settings(BaseModel):
    """What to train."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "allOf": [
                _forbid(_NO_RATE, learning_rate={"type": "null"}),
                _forbid(_WHOLE_PASSES, deform={"const": False}),
            ]
        },
    )

    hidden: Annotated[int, Field(strict=True, ge=1, le=2000, description="Hidden units, D_H"), _Whole] = 100
    descent: Annotated[Method, Field(description="Descent method")] = Method.auto  # type: ignore[attr-defined]
    learning_rate: Annotated[
        float | None,
        Field(strict=True, gt=0, le=100, description="Peak rate of descent; null: the method's own"),
    ] = None
    batch_size: Annotated[
        int, Field(strict=True, ge=1, le=10_000, description="Samples in a mini-batch"), _Whole
    ] = 128
    epochs: Annotated[
        Annotated[int, Field(strict=True, ge=1, le=1000), _Whole] | None,
        Field(description="Passes over the data; null: by their size"),
    ] = None
    deform: Annotated[bool, Field(strict=True, description="Deform the images anew in each epoch")] = False
    samples: Annotated[
        Annotated[int, Field(strict=True, ge=100, le=10_000_000), _Whole] | None,
        Field(description="Images to learn from, a sixth of them held out; null: all"),
    ] = None
    seed: Annotated[
        int, Field(strict=True, ge=0, le=2**31 - 1, description="Same seed, same network"), _Whole
    ] = 0

    @model_validator(mode="after")
    def _check_method(self) -> Settings:
        if self.learning_rate is not None and self.descent in _NO_RATE:
            raise ValueError(f"learning_rate: {self.descent} has none; leave it out")
        if self.deform and self.descent in _WHOLE_PASSES:
            raise ValueError(f"deform: {self.descent} needs the same images in each pass; choose adam")
        return self


class Epoch(BaseModel):
    """A record of one epoch: E and shares of right answers, in training and on held-out images."""

    epoch: int
    samples: int
    seconds: float
    error: float | None
    accuracy: float | None
    val_error: float | None
    val_accuracy: float | None
    learning_rate: float | None


class TrainingInfo(BaseModel):
    """A training: where it stands, and a record of each epoch."""

    id: int
    state: str
    problem: str
    settings: Settings
    descent: str | None
    epochs: int
    records: list[Epoch]
    test_accuracy: float | None


class ModelInfo(BaseModel):
    """The network on show; `version` changes with its Theta."""

    name: str
    version: str
    D_I: int
    D_H: int
    D_O: int
    classes: list[str]
    first: bool
    tests: int


class Mistake(BaseModel):
    """A test image with a wrong answer."""

    row: int
    true: str
    predicted: str
    probability: float
    probability_of_true: float


class Figures(BaseModel):
    """What a network does on the test images; `confusion` has true classes as rows."""

    version: str
    samples: int
    mistakes: int
    accuracy: float
    error: float
    calibration_error: float | None
    labels: list[str]
    confusion: list[list[int]] | None
    worst: list[Mistake]


class DigitRead(BaseModel):
    """One digit of a picture; `box`: top, left, bottom, right in its pixels; `frame`: 784 bytes in base64."""

    label: str | None
    confidence: float
    probability: float
    box: tuple[int, int, int, int]
    line: int
    frame: str


class ReadingInfo(BaseModel):
    """The numbers in a picture."""

    lines: list[str]
    digits: list[DigitRead]
    width: int
    height: int


class Health(BaseModel):
    """The server is there; `started` tells one start from another, `model` one network from another."""

    version: str
    started: str
    model: str


class Problem(BaseModel):
    """What went wrong."""

    detail: str
