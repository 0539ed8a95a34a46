"""Sections of the report on a network: its answers, its mistakes, its inside; as elements of a page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from thetanet.classifier.fitted import FittedNetwork
from thetanet.evaluation.figures import Answers, Evaluation
from thetanet.evaluation.inspection import Inspection
from thetanet.report.inputs import dense
from thetanet.report.page import Html, drawing, element, facts, picture, table

_MANY = 30  # classes; of more a matrix of numbers cannot be read
_LISTED = 60  # rows of a table


def short(text: Any, most: int = 60) -> str:
    """Return a text of the model, cut where it is too long to be shown."""
    whole = str(text)
    return whole if len(whole) <= most else whole[: most - 1] + "…"


def percent(share: Any) -> str:
    """Return a share as a percentage; only what is exactly 100% is called so."""
    share = float(share)
    rounded = f"{share:.2%}"
    if rounded == "100.00%" and share < 1:
        return "over 99.99%"
    return "under 0.01%" if rounded == "0.00%" and share > 0 else rounded


def confusion(found: Evaluation) -> Html | None:
    """Return the confusion matrix as a table, coloured by the share within the row on a root scale.

    Of many classes: the commonest confusions.
    """
    if found.confusion is None:
        return None
    counts = np.array(found.confusion)
    names = [short(label) for label in found.labels]
    rows: list[Any]
    if len(names) > _MANY:
        wrong = counts - np.diag(np.diag(counts))
        places = np.argsort(-wrong, axis=None, kind="stable")[: min(20, np.count_nonzero(wrong))]
        pairs = [np.unravel_index(place, wrong.shape) for place in places]
        rows = [(names[i], (names[j], {"class_": "text"}), f"{wrong[i, j]:,}") for i, j in pairs]
        return table("The commonest confusions", ("true class", "answer", "samples"), rows) if rows else None
    share = np.sqrt(counts / np.maximum(counts.sum(axis=1, keepdims=True), 1))
    rows = [
        (
            name,
            *(
                (
                    f"{counts[i, j]:,}" if counts[i, j] else "·",
                    {
                        "class_": ("right" if i == j else "wrong") + (" deep" if share[i, j] > 0.6 else ""),
                        "style": f"--share:{share[i, j]:.0%}",
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


def per_class(answers: Answers, labels: Sequence[Any]) -> Html:
    """Return a table of recall and precision, for each class or label."""
    if answers.y.ndim == 1:
        classes = np.asarray(labels)
        truth, said = answers.y[:, None] == classes, answers.predicted[:, None] == classes
    else:
        truth, said = answers.y > 0, answers.predicted > 0
    both = (truth & said).sum(axis=0)
    samples, given = truth.sum(axis=0), said.sum(axis=0)
    recall = both / np.maximum(samples, 1)
    order: Any = range(len(labels))
    caption = "Each class: how many of its samples are found, how many of the answers are right"
    if len(labels) > _LISTED:
        order = np.argsort(np.where(samples > 0, recall, 2), kind="stable")[:_LISTED]
        caption += f"; the {_LISTED} of {len(labels):,} that are found least"
    rows = []
    for k in order:
        precision = percent(both[k] / given[k]) if given[k] else "never given"
        found = percent(recall[k]) if samples[k] else "no samples"
        rows.append((short(labels[k]), f"{samples[k]:,}", found, precision))
    return table(caption, ("class", "samples", "found (recall)", "right (precision)"), rows)


def belief(answers: Answers) -> list[Html]:
    """Return reliability and rejection, drawn side by side and as a table."""
    from thetanet.plots import plot_rejection, plot_reliability
    from thetanet.plots.axes import prepare_axes
    from thetanet.plots.embedding import render_svg

    p = answers.probability
    if answers.y.ndim == 1:
        sure, right = p.max(axis=1), ~answers.wrong
    else:  # each label is an answer of its own
        sure, right = np.maximum(p, 1 - p).ravel(), (answers.predicted == answers.y).ravel()
    drawn = []
    for name, ax, alt, caption in (
        (
            "reliability",
            plot_reliability(np.clip(sure, 0, 1), right, ax=prepare_axes(None, (4.3, 3.8))),
            "Share of right answers by the probability that the network gives them",
            "On the dashed line, answers are as often right as the network says. Above: how many.",
        ),
        (
            "rejection",
            plot_rejection(
                np.clip(answers.confidence, 0, 1), ~answers.wrong, ax=prepare_axes(None, (4.3, 3.8))
            ),
            "Share of wrong answers among those given, by the share of samples that are answered",
            "Giving only the surest answers. Dots: no answer below a confidence of 0.5, 0.9, 0.99.",
        ),
    ):
        ax.set_title("", loc="left")
        drawn.append(drawing(render_svg(ax, name), alt, caption))
    rows = []
    for threshold in (0.0, 0.5, 0.9, 0.99):
        given = answers.confidence >= threshold
        wrong = percent(float(answers.wrong[given].mean())) if given.any() else "no answers"
        rows.append((f"{threshold:g}" if threshold else "answer all", percent(float(given.mean())), wrong))
    return [
        element("div", *drawn, class_="pair"),
        table(
            "If it answers only when its confidence is high",
            ("confidence at least", "answered", "wrong among them"),
            rows,
        ),
    ]


def mistakes(X: Any, found: Evaluation, shape: tuple[int, int] | None) -> list[Html]:
    """Return a gallery of the surest mistakes, or a table where samples are no images."""
    if found.confusion is None:
        return []
    if not found.worst:
        return [element("p", f"None: all {found.samples:,} answers are right.")]
    said = "The surest first: true class, answer and its probability."
    count = f"{found.mistakes:,} of {found.samples:,} answers are wrong. "
    if shape is None:
        rows = [
            (
                f"{mistake['row']:,}",
                (short(mistake["true"]), {"class_": "text"}),
                (short(mistake["predicted"]), {"class_": "text"}),
                percent(mistake["probability"]),
                percent(mistake["probability_of_true"]),
            )
            for mistake in found.worst[:20]
        ]
        headings = "row", "true class", "answer", "its probability", "of the true class"
        return [element("p", count), table("The surest mistakes", headings, rows)]
    from thetanet.plots.embedding import render_pixels

    shown = found.worst[: int(np.clip(60_000 // (shape[0] * shape[1]), 12, 60))]
    items = []
    pixels = dense(X, [mistake["row"] for mistake in shown])
    for mistake, image in zip(shown, pixels, strict=True):
        row, true, answer = mistake["row"], short(mistake["true"]), short(mistake["predicted"])
        sure = percent(mistake["probability"])
        alt = f"Sample {row}: {true}, taken for {answer}"
        source = render_pixels(image.reshape(shape))
        shot = element("img", src=source, alt=alt, width=shape[1], height=shape[0])
        items.append(element("li", shot, f"{true}, not {answer}", element("span", sure)))
    return [element("p", count + said), element("ul", *items, class_="gallery")]


def inside(
    net: FittedNetwork, health: Inspection, shape: tuple[int, int] | None, names: Sequence[str] | None
) -> list[Html]:
    """Return what the weights and the hidden units look like."""
    parts = []
    theta = net.theta_
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
        parts.append(picture(render_png(ax, 130), f"Weights into {n} hidden units as images", caption))
    rows = [
        (name, *(f"{row[column]:.4g}" for column in ("norm", "rms", "largest")))
        for name, row in health.norms.items()
    ]
    saturated = None if health.saturation is None else percent(health.saturation)
    parts += [
        table("Size of the weights", ("", "norm", "root mean square", "largest"), rows),
        facts(
            "Health",
            [
                ("saturated activations", saturated),
                ("stuck units (saturated at 99% of the samples)", _listed(health.stuck_units, theta.D_H)),
                ("still units (hardly vary)", _listed(health.still_units, theta.D_H)),
                ("units that no output hears", _listed(health.unheard_units, theta.D_H)),
                ("inputs without influence", _listed(health.dead_inputs, theta.D_I, names)),
            ],
        ),
    ]
    if shape is None:
        outputs = [short(label) for label in net.classes_[-theta.D_O :].tolist()]
        weights = []
        for weight in health.largest:
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


def changed_images(changed: Mapping[str, float]) -> list[Html]:
    """Return the shares of errors on changed images as a table with bars."""
    if not changed:
        return []
    rows = [
        (
            name,
            percent(share),
            (element("span", style=f"--share:{share:.1%}"), {"class_": "bar", "aria_hidden": "true"}),
        )
        for name, share in changed.items()
    ]
    note = "The same samples, changed; where a change has a direction, the mean over its directions."
    return [element("p", note), table("Errors on changed images", ("change", "errors", ""), rows)]


def _listed(numbers: list[int] | None, of: int, names: Sequence[str] | None = None) -> str | None:
    if numbers is None:
        return None
    if not numbers:
        return "none"
    first = ", ".join(str(n) if names is None else names[n] for n in numbers[:10])
    return f"{len(numbers):,} of {of:,} ({first}{', …' if len(numbers) > 10 else ''})"
