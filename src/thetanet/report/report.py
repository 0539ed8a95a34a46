"""The report on a network: one HTML page, which needs no other file and sends no request to any host."""

from __future__ import annotations

import datetime
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

import thetanet
from thetanet.data.door import make_source
from thetanet.data.source import Source
from thetanet.errors import InputError
from thetanet.evaluation.figures import Evaluation, EvaluationSums, iter_answers
from thetanet.evaluation.inspection import InspectionSums
from thetanet.evaluation.robustness import robustness
from thetanet.models.atomic import write_atomically
from thetanet.models.fitted import FittedNetwork, network_of
from thetanet.models.model_file import Model
from thetanet.report.elements import Html, element, facts_table, page, section, svg_figure
from thetanet.report.sections import (
    AnswerDetails,
    format_percent,
    render_classes,
    render_confusion,
    render_mistakes,
    render_reliability,
    render_robustness,
    render_weights,
    shorten,
)

_CONFIDENT = 0.9  # the key figure of rejection is about answers of at least this confidence
_MISTAKES = 200  # whose inputs are kept
_WEIGHTS = 12  # the largest ones
_SCALINGS = {
    "pixels": "pixels / 255",
    "standard": "standardised: mean 0, variance 1",
    "maximum": "by the largest value of each input",
    "none": "none",
}
_TRAINING_LABELS = {
    "descent": "descent method", "epochs": "epochs asked for", "epoch": "epochs done",
    "batch_size": "mini-batch", "samples": "samples seen", "seconds": "seconds",
    "error": "E per sample, last epoch",
    "accuracy": "accuracy, last epoch", "val_error": "E per sample, validation",
    "val_accuracy": "accuracy, validation", "val_score": "score, validation", "alpha": "L2 penalty (alpha)",
    "deform": "deformed images", "teacher": "teacher", "class_weight": "class weights",
    "validation_fraction": "share held out", "patience": "patience", "scoring": "scoring",
    "random_state": "seed",
}  # fmt: skip
_UNLISTED = {"hidden", "learning_rate", "engine", "init", "on_epoch", "verbose", "warm_start", "scaling"}


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
    net: Any,
    X: Any,
    y: Any = None,
    about: About | None = None,
    *,
    history: Mapping[str, Sequence[Any]] | None = None,
    shape: tuple[int, int] | None = None,
    robust: bool = False,
    tell: Callable[[str], object] = lambda step: None,
) -> Report:
    """Make a report on a fitted network: facts, learning curve, figures, mistakes, weights.

    Parameters
    ----------
    net : FittedNetwork or fitted classifier
        The network.
    X : Source, or array, sparse matrix or frame of shape (M, D_I)
        What to measure it on: test data. A source is read once, and only a few numbers of each sample are
        kept; it is read again for `robust`.
    y : array of shape (M,), or (M, D_O) for multi-label
        Labels; a source has them itself.
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
        Called with a text at the beginning of each step.

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
    >>> report = html_report(net, X, y)
    >>> report.evaluation.samples
    4
    """
    from thetanet.plots.axes import prepare_axes

    prepare_axes(None, (1, 1))  # fails at once where matplotlib is missing
    network, source = network_of(net), make_source(X, y)
    about = About() if about is None else about
    history = _as_lists(getattr(net, "history_", {}) if history is None else history)
    shape = _image_shape(network, about, source, shape)
    if robust and shape is None:
        raise InputError("robustness: is measured on images; give shape, if these are some")
    tell("evaluating")
    sums = EvaluationSums(network, _MISTAKES, _CONFIDENT, keep_inputs=True)
    inspection_sums, details = InspectionSums(network), AnswerDetails(network)
    for answers in iter_answers(network, source):
        sums.add(answers)
        inspection_sums.add(answers.rows.X)
        details.add(answers)
    evaluation, inspection = sums.result(), inspection_sums.result(_WEIGHTS)
    errors: dict[str, float] = {}
    if robust:
        errors = robustness(
            network, source, shape=shape, on_change=lambda name: tell(f"changed images: {name}")
        )
    tell("drawing")
    sections = {
        "model": ("The model", [_render_facts(network, about)]),
        "training": ("Training", _render_training(about, history)),
        "answers": (
            "Answers",
            [
                element(
                    "div", render_confusion(evaluation), render_classes(evaluation, details), class_="beside"
                )
            ],
        ),
        "belief": ("How far to believe it", render_reliability(details)),
        "mistakes": ("Mistakes", render_mistakes(evaluation, shape)),
        "inside": ("Inside", render_weights(network, inspection, shape, _feature_names(network))),
        "changed": ("Changed images", render_robustness(errors)),
    }
    sections = {name: part for name, part in sections.items() if part[1]}
    html = page(
        f"{about.name}: report",
        element(
            "header",
            element("p", "thetanet report", class_="over"),
            element("h1", about.name),
            element("p", _summarize(network, about, evaluation), class_="lede"),
            _render_key_figures(evaluation),
            element(
                "nav",
                *[element("a", part[0], href=f"#{name}") for name, part in sections.items()],
                aria_label="Sections",
            ),
        ),
        element("main", *[section(name, heading, *parts) for name, (heading, parts) in sections.items()]),
        element("footer", _credit()),
    )
    return Report(html, evaluation)


def _as_lists(history: Any) -> dict[str, list[Any]]:
    """Return a history of lists, arrays or columns as one of lists, with None for what was not measured.

    Raises
    ------
    InputError
        If it is no history.
    """
    try:
        columns = {name: () if history[name] is None else history[name] for name in history}
        return {
            name: [None if value is None or value != value else value for value in column]
            for name, column in columns.items()
        }
    except (TypeError, ValueError, LookupError) as problem:
        raise InputError(
            f"history: is not that of a training ({problem}); give a dict of lists such as net.history_"
        ) from None


def _credit() -> str:
    today = datetime.datetime.now(datetime.UTC).date().isoformat()
    return f"Made by thetanet {thetanet.__version__}, {today}. E is the cross-entropy error."


def _image_shape(
    network: FittedNetwork, about: About, source: Source, shape: tuple[int, int] | None
) -> tuple[int, int] | None:
    """Return (h, w) of the images; None if the samples are no images."""
    D_I = network.theta.D_I
    if shape is not None:
        if shape[0] < 1 or shape[0] * shape[1] != D_I:
            raise InputError(f"shape={tuple(shape)}: does not make the D_I={D_I} inputs of the network")
        return shape
    known = None if about.model is None else about.model.input_shape
    if known is not None:
        return (known[0], known[1]) if len(known) == 2 else None
    side = round(D_I**0.5)
    if side < 8 or side * side != D_I or network.feature_names is not None or source.feature_names:
        return None
    return (side, side) if isinstance(source.read_head(1).X, np.ndarray) else None


def _feature_names(network: FittedNetwork) -> Sequence[str] | None:
    return None if network.feature_names is None else [shorten(name) for name in network.feature_names]


def _summarize(network: FittedNetwork, about: About, evaluation: Evaluation) -> str:
    """Return the sentences under the title."""
    D_I, D_H, D_O = network.theta.shape
    all_labels = " (all labels of a sample)" if network.multilabel else ""
    kind = "test samples" if about.tested else "samples"
    warning = "" if about.tested else " There is no test part: it may have learnt from these very samples."
    return (
        f"{D_I:,} inputs, {D_H:,} hidden units, {_outputs(D_O)}. "
        f"Of {evaluation.samples:,} {kind} of {about.data} it gets {format_percent(evaluation.accuracy)} "
        f"right{all_labels}.{warning}"
    )


def _outputs(D_O: int) -> str:
    return "one output" if D_O == 1 else f"{D_O:,} outputs"


def _render_key_figures(evaluation: Evaluation) -> Html:
    figures = [
        ("accuracy", format_percent(evaluation.accuracy)),
        (f"mistakes in {evaluation.samples:,}", f"{evaluation.mistakes:,}"),
        ("E per sample", f"{evaluation.error:.4f}"),
    ]
    if evaluation.calibration_error is not None:
        figures.append(("calibration error", format_percent(evaluation.calibration_error)))
    if evaluation.accuracy_answered is not None:
        of_all = format_percent(evaluation.answered / evaluation.samples)
        figures.append(
            (
                f"wrong, where at least {_CONFIDENT:.0%} sure ({of_all} of all)",
                format_percent(1 - evaluation.accuracy_answered),
            )
        )
    return element(
        "dl",
        *(element("div", element("dt", name), element("dd", value)) for name, value in figures),
        class_="key",
    )


def _render_facts(network: FittedNetwork, about: About) -> Html:
    theta, model = network.theta, about.model
    labels = [shorten(label) for label in network.classes[:40].tolist()]
    more = f", and {len(network.classes) - 40:,} more" if len(network.classes) > 40 else ""
    kind = "labels (any number a sample)" if network.multilabel else "classes"
    scaling = network.scaling if model is None else str(model.scaling.get("kind", "none"))
    return facts_table(
        "What it is",
        [
            (
                "shape",
                f"{theta.D_I:,} inputs, {theta.D_H:,} hidden units, {_outputs(theta.D_O)} (sigmoid units)",
            ),
            ("parameters", f"{theta.flat.size:,} numbers, {theta.dtype}"),
            (kind, f"{len(network.classes):,}: {', '.join(labels)}{more}"),
            (
                "image",
                None if model is None or not model.input_shape else " x ".join(map(str, model.input_shape)),
            ),
            (
                "scaling",
                f"{_SCALINGS.get(scaling, shorten(scaling))}; part of Theta(1), so it takes raw inputs",
            ),
            ("file", None if about.size is None else f"{about.size:,} bytes"),
            ("sha256", None if about.sha256 is None else element("code", about.sha256)),
        ],
    )


def _render_training(about: About, history: Mapping[str, Sequence[Any]]) -> list[Html]:
    parts = []
    known = {} if about.model is None else about.model.training
    known = {name: value for name, value in known.items() if value not in (None, "None", "False")}
    rows = [
        (label, _format_value(name, known[name])) for name, label in _TRAINING_LABELS.items() if name in known
    ]
    others = [name for name in known if name not in _TRAINING_LABELS and name not in _UNLISTED]
    rows += [(shorten(name), _format_value(name, known[name])) for name in others[:20]]
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
        parts.append(
            svg_figure(render_svg(ax, "learning"), alt, "E per sample and share of errors, by epoch")
        )
    elif rows:
        parts.append(
            element("p", "A model file keeps the last figures of its training, not the curve.", class_="note")
        )
    if rows:
        parts.append(facts_table("How it was trained", rows))
    return parts


def _format_value(name: str, value: Any) -> str:
    if isinstance(value, float):
        return (
            format_percent(value)
            if name.endswith("accuracy")
            else f"{value:,.4g}"
            if value < 1e4
            else f"{value:,.0f}"
        )
    if isinstance(value, int) and not isinstance(value, bool):
        return f"{value:,}"
    return shorten(str(value).strip("'"), 300)
