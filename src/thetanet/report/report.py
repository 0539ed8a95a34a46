"""A report on a network as one HTML page, which needs no other file and asks nothing of any host."""

from __future__ import annotations

import datetime
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

import thetanet
from thetanet.classifier.fitted import FittedNetwork
from thetanet.errors import InputError
from thetanet.evaluation.figures import Answers, Evaluation, evaluation
from thetanet.evaluation.inspection import inspect
from thetanet.evaluation.robustness import robustness
from thetanet.models.atomic import write_atomically
from thetanet.models.model_file import Model
from thetanet.report.inputs import dense, lists_of, samples_of
from thetanet.report.page import Html, drawing, element, facts, page, section
from thetanet.report.sections import (
    belief,
    changed_images,
    confusion,
    inside,
    mistakes,
    per_class,
    percent,
    short,
)

_SURE = 0.9  # the key figure of rejection is about answers that are so sure
_SCALINGS = {
    "pixels": "pixels / 255",
    "standard": "standardised: mean 0, variance 1",
    "maximum": "by the largest value of each input",
    "none": "none",
}
_TRAINING = {
    "descent": "descent method", "epochs": "epochs asked for", "epoch": "epochs done",
    "batch_size": "mini-batch", "samples": "samples seen", "seconds": "seconds",
    "error": "E per sample, last epoch",
    "accuracy": "accuracy, last epoch", "val_error": "E per sample, validation",
    "val_accuracy": "accuracy, validation", "val_score": "score, validation", "alpha": "L2 penalty (alpha)",
    "deform": "deformed images", "teacher": "teacher", "class_weight": "class weights",
    "validation_fraction": "share held out", "patience": "patience", "scoring": "scoring",
    "random_state": "seed",
}  # fmt: skip
_SILENT = {"hidden", "learning_rate", "engine", "init", "on_epoch", "verbose", "warm_start", "scaling"}


@dataclass(frozen=True)
class About:
    """What is known about a network besides its numbers.

    Attributes
    ----------
    name : str
        What the report calls it.
    data : str
        Where the samples are from, which it is measured on.
    tested : bool
        Whether those are test data. If not, the report says so.
    model : Model, optional
        As in the file: how it was trained, names of inputs, shape of images.
    size, sha256 : int and str, optional
        Of the file, in bytes, and as sha256sum prints it.
    """

    name: str = "A network"
    data: str = "the data"
    tested: bool = True
    model: Model | None = None
    size: int | None = None
    sha256: str | None = None


@dataclass(frozen=True)
class Report:
    """A report: the page, and the figures in it."""

    html: str
    evaluation: Evaluation

    def save(self, path: str | os.PathLike[str]) -> int:
        """Write the page to a file, whole or not at all, and return its size in bytes.

        Raises
        ------
        InputError
            If the file cannot be written.
        """
        page = self.html.encode("utf-8", "replace")  # half a pair of surrogates is no text
        try:
            write_atomically(os.path.realpath(path), [page])
        except (OSError, ValueError) as error:
            raise InputError(f"{os.fspath(path)}: the report cannot be written there: {error}") from error
        return len(page)


def html_report(
    net: FittedNetwork,
    X: Any,
    y: Any,
    about: About | None = None,
    *,
    history: Mapping[str, Sequence[Any]] | None = None,
    shape: tuple[int, int] | None = None,
    robust: bool = False,
    tell: Callable[[str], None] = lambda what: None,
) -> Report:
    """Make a report on a fitted network: facts, learning curve, figures, mistakes, what is inside.

    Parameters
    ----------
    net : fitted network
        Any classifier of ours.
    X, y : arrays of shapes (M, D_I) and (M,), or (M, D_O) for multi-label
        What to measure it on: test data. X may be sparse, or a DataFrame.
    about : About, optional
        What else is known.
    history : dict of lists, optional
        The training's, for the learning curve; `net.history_` if left out. Model files do not keep it.
    shape : (h, w), optional
        Of the images in X. If left out: as the model says, or square, if there are at least 8 x 8 inputs
        without names. Other data get tables instead of pictures.
    robust : bool
        Whether to measure on changed images too.
    tell : callable
        Is told what is being done.

    Raises
    ------
    InputError
        If the network is not fitted, the data do not fit it, or history is none.
    MissingExtraError
        If matplotlib is not installed.

    Examples
    --------
    >>> from thetanet import ThetaNetClassifier
    >>> from thetanet.report.report import html_report
    >>> X, y = [[0.0], [1.0], [2.0], [3.0]], ["low", "low", "high", "high"]
    >>> net = ThetaNetClassifier(hidden=2, random_state=0).fit(X, y)
    >>> report = html_report(net, np.array(X), y)
    >>> report.evaluation.samples
    4
    """
    from thetanet.plots.axes import prepare_axes

    prepare_axes(None, (1, 1))  # fails at once where matplotlib is missing
    net._must_be_fitted()
    about = About() if about is None else about
    history = lists_of(net.history_ if history is None else history)
    X, y = samples_of(net, X, y)
    shape = _image_shape(net, about, X, shape)
    if robust and shape is None:
        raise InputError("robustness: is measured on images; give shape, if these are some")
    tell("asking the network")
    answers = Answers.of(net, X, y)
    found = evaluation(net, X, y, worst=200, reject_below=_SURE, answers=answers)
    tell("looking inside")
    health = inspect(net, X, largest=12)
    changed: dict[str, float] = {}
    for change in robustness(net, dense(X), y, shape) if robust else ():
        tell(f"changed images: {change[0]}")
        changed |= [change]
    tell("drawing")
    sections = {
        "model": ("The model", [_facts(net, about)]),
        "training": ("Training", _training(about, history)),
        "answers": (
            "Answers",
            [element("div", confusion(found), per_class(answers, found.labels), class_="beside")],
        ),
        "belief": ("How far to believe it", belief(answers)),
        "mistakes": ("Mistakes", mistakes(X, found, shape)),
        "inside": ("Inside", inside(net, health, shape, _names(net, about))),
        "changed": ("Changed images", changed_images(changed)),
    }
    sections = {name: part for name, part in sections.items() if part[1]}
    html = page(
        f"{about.name}: report",
        element(
            "header",
            element("p", "thetanet report", class_="over"),
            element("h1", about.name),
            element("p", _lede(net, about, found), class_="lede"),
            _key_figures(found),
            element(
                "nav",
                *[element("a", part[0], href=f"#{name}") for name, part in sections.items()],
                aria_label="Sections",
            ),
        ),
        element("main", *[section(name, heading, *parts) for name, (heading, parts) in sections.items()]),
        element("footer", _made()),
    )
    return Report(html, found)


def _made() -> str:
    today = datetime.datetime.now(datetime.UTC).date().isoformat()
    return f"Made by thetanet {thetanet.__version__}, {today}. E is the cross-entropy error."


def _image_shape(
    net: FittedNetwork, about: About, X: Any, shape: tuple[int, int] | None
) -> tuple[int, int] | None:
    D_I = net.theta_.D_I
    if shape is not None:
        if shape[0] < 1 or shape[0] * shape[1] != D_I:
            raise InputError(f"shape={tuple(shape)}: does not make the D_I={D_I} inputs of the network")
        return shape
    known = None if about.model is None else about.model.input_shape
    if known is not None:
        return (known[0], known[1]) if len(known) == 2 else None
    side = round(D_I**0.5)
    named = hasattr(net, "feature_names_in_") or not isinstance(X, np.ndarray)
    return (side, side) if side * side == D_I and side >= 8 and not named else None


def _names(net: FittedNetwork, about: About) -> Sequence[str] | None:
    names = getattr(net, "feature_names_in_", None)
    return None if names is None else [short(name) for name in names]


def _lede(net: FittedNetwork, about: About, found: Evaluation) -> str:
    D_I, D_H, D_O = net.theta_.shape
    whole = " (all labels of a sample)" if net._labels.multilabel else ""
    kind = "test samples" if about.tested else "samples"
    warning = "" if about.tested else " There is no test part: it may have learnt from these very samples."
    right = percent(found.accuracy)
    return (
        f"{D_I:,} inputs, {D_H:,} hidden units, {_outputs(D_O)}. "
        f"Of {found.samples:,} {kind} of {about.data} it gets {right} right{whole}.{warning}"
    )


def _outputs(D_O: int) -> str:
    return "one output" if D_O == 1 else f"{D_O:,} outputs"


def _key_figures(found: Evaluation) -> Html:
    figures = [
        ("accuracy", percent(found.accuracy)),
        (f"mistakes in {found.samples:,}", f"{found.mistakes:,}"),
        ("E per sample", f"{found.error:.4f}"),
    ]
    if found.calibration_error is not None:
        figures.append(("calibration error", percent(found.calibration_error)))
    if found.accuracy_answered is not None:
        of_all = percent(found.answered / found.samples)
        figures.append(
            (
                f"wrong, where at least {_SURE:.0%} sure ({of_all} of all)",
                percent(1 - found.accuracy_answered),
            )
        )
    return element(
        "dl",
        *(element("div", element("dt", name), element("dd", value)) for name, value in figures),
        class_="key",
    )


def _facts(net: FittedNetwork, about: About) -> Html:
    theta, model = net.theta_, about.model
    labels = [short(label) for label in net.classes_[:40].tolist()]
    more = f", and {len(net.classes_) - 40:,} more" if len(net.classes_) > 40 else ""
    kind = "labels (any number a sample)" if net._labels.multilabel else "classes"
    scaling = net._scaling_kind if model is None else str(model.scaling.get("kind", "none"))
    return facts(
        "What it is",
        [
            (
                "shape",
                f"{theta.D_I:,} inputs, {theta.D_H:,} hidden units, {_outputs(theta.D_O)} (sigmoid units)",
            ),
            ("parameters", f"{theta.flat.size:,} numbers, {theta.dtype}"),
            (kind, f"{len(net.classes_):,}: {', '.join(labels)}{more}"),
            (
                "image",
                None if model is None or not model.input_shape else " x ".join(map(str, model.input_shape)),
            ),
            (
                "scaling",
                f"{_SCALINGS.get(scaling, short(scaling))}; part of Theta(1), so it takes raw inputs",
            ),
            ("file", None if about.size is None else f"{about.size:,} bytes"),
            ("sha256", None if about.sha256 is None else element("code", about.sha256)),
        ],
    )


def _training(about: About, history: Mapping[str, Sequence[Any]]) -> list[Html]:
    parts = []
    known = {} if about.model is None else about.model.training
    told = {name: value for name, value in known.items() if value not in (None, "None", "False")}
    rows = [(label, _told(name, told[name])) for name, label in _TRAINING.items() if name in told]
    others = [name for name in told if name not in _TRAINING and name not in _SILENT]
    rows += [(short(name), _told(name, told[name])) for name in others[:20]]
    if any(history.values()):
        from thetanet.plots import plot_learning_curve
        from thetanet.plots.axes import prepare_axes
        from thetanet.plots.embedding import render_svg

        try:
            ax = plot_learning_curve(history, ax=prepare_axes(None, (5.4, 3.3)))
            first, last = (float(history["error"][place]) for place in (0, -1))
        except (TypeError, ValueError, OverflowError) as problem:
            raise InputError(f"history: is not that of a training: {problem}") from None
        ax.set_title("", loc="left")
        alt = f"Learning curve, {len(history['error'])} epochs: E per sample from {first:.4g} to {last:.4g}"
        parts.append(drawing(render_svg(ax, "learning"), alt, "E per sample and share of errors, by epoch"))
    elif rows:
        parts.append(
            element("p", "A model file keeps the last figures of its training, not the curve.", class_="note")
        )
    if rows:
        parts.append(facts("How it was trained", rows))
    return parts


def _told(name: str, value: Any) -> str:
    if isinstance(value, float):
        return (
            percent(value)
            if name.endswith("accuracy")
            else f"{value:,.4g}"
            if value < 1e4
            else f"{value:,.0f}"
        )
    if isinstance(value, int) and not isinstance(value, bool):
        return f"{value:,}"
    return short(str(value).strip("'"), 300)
