"""Sections of the report on a network: its answers, its mistakes, its weights; as elements of a page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from thetanet.evaluation.figures import Answers, Evaluation
from thetanet.evaluation.inspection import Inspection
from thetanet.models.fitted import FittedNetwork
from thetanet.report.elements import Html, element, facts_table, image_figure, svg_figure, table

_MATRIX_CLASSES = 30  # a matrix of more classes cannot be read
_TABLE_ROWS = 60


def shorten(text: Any, most: int = 60) -> str:
    """Return a text of the model, cut where it is too long to be shown."""
    full = str(text)
    return full if len(full) <= most else full[: most - 1] + "…"


def format_percent(fraction: Any) -> str:
    """Return a fraction as a percentage, such that only 1 becomes 100.00% and only 0 becomes 0.00%."""
    fraction = float(fraction)
    rounded = f"{fraction:.2%}"
    if rounded == "100.00%" and fraction < 1:
        return "over 99.99%"
    return "under 0.01%" if rounded == "0.00%" and fraction > 0 else rounded


def render_confusion(evaluation: Evaluation) -> Html | None:
    """Return the confusion matrix as a table, coloured by the fraction of the row on a root scale.

    Of many classes: the commonest confusions.
    """
    if evaluation.confusion is None:
        return None
    counts = np.array(evaluation.confusion)
    names = [shorten(label) for label in evaluation.labels]
    rows: list[Any]
    if len(names) > _MATRIX_CLASSES:
        wrong = counts - np.diag(np.diag(counts))
        places = np.argsort(-wrong, axis=None, kind="stable")[: min(20, np.count_nonzero(wrong))]
        pairs = [np.unravel_index(place, wrong.shape) for place in places]
        rows = [(names[i], (names[j], {"class_": "text"}), f"{wrong[i, j]:,}") for i, j in pairs]
        return table("The commonest confusions", ("true class", "answer", "samples"), rows) if rows else None
    fraction = np.sqrt(counts / np.maximum(counts.sum(axis=1, keepdims=True), 1))
    rows = [
        (
            name,
            *(
                (
                    f"{counts[i, j]:,}" if counts[i, j] else "·",
                    {
                        "class_": ("right" if i == j else "wrong")
                        + (" deep" if fraction[i, j] > 0.6 else ""),
                        "style": f"--share:{fraction[i, j]:.0%}",
                    },
                )
                for j in range(len(names))
            ),
        )
        for i, name in enumerate(names)
    ]
    return table(
        "Confusion matrix: how many samples of each class (rows) got which answer (columns)",
        ("", *names), rows, class_="confusion",
    )  # fmt: skip


class AnswerDetails:
    """What the report needs of each answer, beside the figures of an evaluation; collected part by part.

    Of a sample only a few numbers are kept, never its inputs.

    Attributes
    ----------
    label_counts : array of shape (3, n_labels)
        For multi-label: number of samples with each label, of answers with it, and of both together.
    """

    def __init__(self, network: FittedNetwork) -> None:
        self.label_counts = np.zeros((3, len(network.classes)), np.int64)
        self._probability: list[NDArray[Any]] = []
        self._correct: list[NDArray[np.bool_]] = []
        self._confidence: list[NDArray[Any]] = []
        self._wrong: list[NDArray[np.bool_]] = []

    def add(self, answers: Answers) -> None:
        """Add the answers to the next samples."""
        y, p = answers.rows.y, answers.probability
        if y.ndim == 1:
            self._probability.append(p.max(axis=1))
            self._correct.append(~answers.wrong)
        else:  # each label is an answer of its own
            self._probability.append(np.maximum(p, 1 - p).ravel())
            self._correct.append((answers.predicted == y).ravel())
            true, predicted = y > 0, answers.predicted > 0
            self.label_counts += [labels.sum(axis=0) for labels in (true, predicted, true & predicted)]
        self._confidence.append(answers.confidence)
        self._wrong.append(answers.wrong)

    @property
    def probability(self) -> NDArray[Any]:
        """Probability of each answer."""
        return np.concatenate(self._probability)

    @property
    def correct(self) -> NDArray[np.bool_]:
        """Whether each answer is correct."""
        return np.concatenate(self._correct)

    @property
    def confidence(self) -> NDArray[Any]:
        """Confidence of the answers to each sample."""
        return np.concatenate(self._confidence)

    @property
    def wrong(self) -> NDArray[np.bool_]:
        """Whether any answer to each sample is wrong."""
        return np.concatenate(self._wrong)


def render_classes(evaluation: Evaluation, details: AnswerDetails) -> Html:
    """Return a table of recall and precision, for each class or label."""
    labels = evaluation.labels
    samples, answers, both = details.label_counts
    if evaluation.confusion is not None:
        counts = np.array(evaluation.confusion)
        samples, answers, both = counts.sum(axis=1), counts.sum(axis=0), np.diag(counts)
    recall = both / np.maximum(samples, 1)
    order: Any = range(len(labels))
    caption = "Each class: how many of its samples are found, how many of the answers are right"
    if len(labels) > _TABLE_ROWS:
        order = np.argsort(np.where(samples > 0, recall, 2), kind="stable")[:_TABLE_ROWS]
        caption += f"; the {_TABLE_ROWS} of {len(labels):,} that are found least"
    rows = []
    for k in order:
        recall_text = format_percent(recall[k]) if samples[k] else "no samples"
        precision_text = format_percent(both[k] / answers[k]) if answers[k] else "never given"
        rows.append((shorten(labels[k]), f"{samples[k]:,}", recall_text, precision_text))
    return table(caption, ("class", "samples", "found (recall)", "right (precision)"), rows)


def render_reliability(details: AnswerDetails) -> list[Html]:
    """Return reliability and rejection, drawn side by side and as a table."""
    from thetanet.plots import plot_rejection, plot_reliability
    from thetanet.plots.axes import prepare_axes
    from thetanet.plots.embedding import render_svg

    confidence, wrong = details.confidence, details.wrong
    figures = []
    for name, ax, alt, caption in (
        (
            "reliability",
            plot_reliability(
                np.clip(details.probability, 0, 1), details.correct, ax=prepare_axes(None, (4.3, 3.8))
            ),
            "Share of right answers by the probability that the network gives them",
            "On the dashed line, answers are as often right as the network says. Above: how many.",
        ),
        (
            "rejection",
            plot_rejection(np.clip(confidence, 0, 1), ~wrong, ax=prepare_axes(None, (4.3, 3.8))),
            "Share of wrong answers among those given, by the share of samples that are answered",
            "Giving only the surest answers. Dots: no answer below a confidence of 0.5, 0.9, 0.99.",
        ),
    ):
        ax.set_title("", loc="left")
        figures.append(svg_figure(render_svg(ax, name), alt, caption))
    rows = []
    for threshold in (0.0, 0.5, 0.9, 0.99):
        answered = confidence >= threshold
        wrong_text = format_percent(float(wrong[answered].mean())) if answered.any() else "no answers"
        rows.append(
            (
                f"{threshold:g}" if threshold else "answer all",
                format_percent(float(answered.mean())),
                wrong_text,
            )
        )
    return [
        element("div", *figures, class_="pair"),
        table(
            "If it answers only when its confidence is high",
            ("confidence at least", "answered", "wrong among them"),
            rows,
        ),
    ]


def render_mistakes(evaluation: Evaluation, shape: tuple[int, int] | None) -> list[Html]:
    """Return a gallery of the surest mistakes, or a table where samples are no images."""
    if evaluation.confusion is None:
        return []
    if not evaluation.worst:
        return [element("p", f"None: all {evaluation.samples:,} answers are right.")]
    legend = "The surest first: true class, answer and its probability."
    count = f"{evaluation.mistakes:,} of {evaluation.samples:,} answers are wrong. "
    if shape is None:
        rows = [
            (
                f"{mistake['row']:,}",
                (shorten(mistake["true"]), {"class_": "text"}),
                (shorten(mistake["predicted"]), {"class_": "text"}),
                format_percent(mistake["probability"]),
                format_percent(mistake["probability_of_true"]),
            )
            for mistake in evaluation.worst[:20]
        ]
        headings = "row", "true class", "answer", "its probability", "of the true class"
        return [element("p", count), table("The surest mistakes", headings, rows)]
    assert evaluation.worst_inputs is not None
    from thetanet.plots.embedding import render_pixels

    shown = evaluation.worst[: int(np.clip(60_000 // (shape[0] * shape[1]), 12, 60))]
    items = []
    for mistake, image in zip(shown, evaluation.worst_inputs[: len(shown)], strict=True):
        row, true, answer = mistake["row"], shorten(mistake["true"]), shorten(mistake["predicted"])
        probability = format_percent(mistake["probability"])
        alt = f"Sample {row}: {true}, taken for {answer}"
        source = render_pixels(image.reshape(shape))
        thumbnail = element("img", src=source, alt=alt, width=shape[1], height=shape[0])
        items.append(element("li", thumbnail, f"{true}, not {answer}", element("span", probability)))
    return [element("p", count + legend), element("ul", *items, class_="gallery")]


def render_weights(
    network: FittedNetwork, inspection: Inspection, shape: tuple[int, int] | None, names: Sequence[str] | None
) -> list[Html]:
    """Return pictures or tables of the weights, and the health of the hidden units."""
    parts = []
    theta = network.theta
    if shape is not None:
        from thetanet.plots import plot_hidden_units
        from thetanet.plots.embedding import render_png

        n = min(theta.D_H, 48)
        units = np.argsort(-np.linalg.norm(theta.W2, axis=1), kind="stable")[:n]
        ax = plot_hidden_units(theta, shape, units.tolist(), columns=8)
        ax.set_title("", loc="left")
        ax.set_xlabel("")
        which = f"The {n} hidden units with the most influence" if n < theta.D_H else f"All {n} hidden units"
        caption = f"{which}: their weights, blue negative, red positive, each unit by its largest."
        parts.append(image_figure(render_png(ax, 130), f"Weights into {n} hidden units as images", caption))
    rows = [
        (name, *(f"{row[column]:.4g}" for column in ("norm", "rms", "largest")))
        for name, row in inspection.norms.items()
    ]
    saturated = None if inspection.saturation is None else format_percent(inspection.saturation)
    parts += [
        table("Size of the weights", ("", "norm", "root mean square", "largest"), rows),
        facts_table(
            "Health",
            [
                ("saturated activations", saturated),
                (
                    "stuck units (saturated at 99% of the samples)",
                    _list_numbers(inspection.stuck_units, theta.D_H),
                ),
                ("still units (hardly vary)", _list_numbers(inspection.still_units, theta.D_H)),
                ("units that no output hears", _list_numbers(inspection.unheard_units, theta.D_H)),
                ("inputs without influence", _list_numbers(inspection.dead_inputs, theta.D_I, names)),
            ],
        ),
    ]
    if shape is None:
        outputs = [shorten(label) for label in network.classes[-theta.D_O :].tolist()]
        weights = []
        for weight in inspection.largest:
            origin, target = f"hidden unit {weight['from']}", f"hidden unit {weight['to']}"
            if weight["layer"] == 1:
                origin = f"input {weight['from'] if names is None else names[weight['from']]}"
            else:
                target = f"output {outputs[weight['to']]}"
            weights.append((origin, (target, {"class_": "text"}), f"{weight['value']:+.4g}"))
        note = "These are weights of raw inputs: an input that varies little in numbers has large ones."
        parts += [
            table("The largest weights", ("from", "to", "weight"), weights),
            element("p", note, class_="note"),
        ]
    return parts


def render_robustness(errors: Mapping[str, float]) -> list[Html]:
    """Return the shares of errors on changed images as a table with bars."""
    if not errors:
        return []
    rows = [
        (
            name,
            format_percent(fraction),
            (element("span", style=f"--share:{fraction:.1%}"), {"class_": "bar", "aria_hidden": "true"}),
        )
        for name, fraction in errors.items()
    ]
    note = "The same samples, changed; where a change has a direction, the mean over its directions."
    return [element("p", note), table("Errors on changed images", ("change", "errors", ""), rows)]


def _list_numbers(numbers: list[int] | None, of: int, names: Sequence[str] | None = None) -> str | None:
    if numbers is None:
        return None
    if not numbers:
        return "none"
    first = ", ".join(str(n) if names is None else names[n] for n in numbers[:10])
    return f"{len(numbers):,} of {of:,} ({first}{', …' if len(numbers) > 10 else ''})"
