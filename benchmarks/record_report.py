"""Figures and pictures of docs/record.md and of the model card, from the models of `record.py`."""

import json
import re
from pathlib import Path

import numpy as np

from thetanet import ThetaNetClassifier, load_pretrained, normalise_images
from thetanet.data.mnist import load_mnist_test, load_mnist_training
from thetanet.evaluation.figures import compute_calibration_error
from thetanet.evaluation.robustness import list_changes
from thetanet.plots import plot_images, plot_reliability, save_figure
from thetanet.plots.axes import prepare_axes

DOCS = Path(__file__).parents[1] / "docs"
ROWS = {
    "784-800-10": "single",
    "one network, 784-{wide}-10": "wide",
    "these six, merged: 784-{committee}-10": "committee",
    "784-1600-10, upright images": "view-upright",
    "784-1600-10, evened images": "view-even",
    "784-1600-10, images of one width": "view-wide",
    "784-1600-10, upright images of one width": "view-upright-wide",
    "committee of views: these six, merged: 3136-{views}-10": "views",
    "784-800-10, a student of the committee of views": "student",
    "in the package: 784-{shipped}-10 in float16, a student too": "package",
}


VIEWS = ("upright", "even", "wide", "upright-wide")


class Viewed:
    """A network behind views of the images."""

    def __init__(self, net, views):
        self.net, self.views = net, views

    def __getattr__(self, name):
        method = getattr(self.net, name)
        return method if name == "theta_" else lambda X, *more: method(normalise_images(X, self.views), *more)


def load(path):
    """Load a network, behind the views that its name tells of."""
    net = ThetaNetClassifier.load(path)
    if path.stem == "views":
        return Viewed(net, VIEWS)
    return Viewed(net, [path.stem[5:-2]]) if path.stem.startswith("view-") else net


def write(models, results_file, package, machine):
    """Measure every model on the test images, once, and write what was found."""
    X, y = load_mnist_test()
    results = json.loads(results_file.read_text())
    found = {}
    for path in sorted(models.glob("*.safetensors")):
        found[path.stem] = load(path)
    found["package"] = load_pretrained()
    for name, net in found.items():
        wrong = net.predict(X) != y
        results.setdefault(name, {}).update(
            test_errors=int(wrong.sum()), hidden=net.theta_.D_H, E=round(net.measure(X, y).error / len(y), 5)
        )
    quick = ThetaNetClassifier(random_state=0).fit(*load_mnist_training())
    nets = {
        "quick": quick,
        "784-800-10": found.get("single-0"),
        "committee": found.get("committee"),
        "committee of views": found.get("views"),
        "package": found["package"],
    }
    # What was not trained here keeps its figures.
    for part, figures_of in (
        ("robustness", lambda net: measure_robustness(net, X, y)),
        ("calibration", lambda net: answers(net, X, y)),
    ):
        known = results.get(part, {})
        results[part] = {
            name: known[name] if net is None else figures_of(net)
            for name, net in nets.items()
            if net or name in known
        }
    results_file.write_text(as_lines(results))
    pictures(nets, results, X, y)
    page = DOCS / "record.md"
    blocks = {"ours": ours(results, machine), "choices": choices(results), "digits": digits(results), "speed": speed(results), "robustness": robust(results),
              "calibration": calibration(results), "classes": classes(found["package"], X, y)}  # fmt: skip
    page.write_text(filled(page.read_text(), blocks))
    card = package.with_suffix(".md")
    card.write_text(
        filled(card.read_text(), {"figures": figures(results, package), "robustness": robust(results)})
    )


def measure_robustness(net, X, y):
    """Return the share of errors for each change of the images, also for networks behind views of them."""
    images = X.reshape(-1, 28, 28)
    return {
        name: float(
            np.mean([np.mean(net.predict(change(images).reshape(len(X), -1)) != y) for change in ways])
        )
        for name, ways in list_changes(255).items()
    }


def as_lines(results):
    """JSON with a line for each name."""
    return (
        "{\n" + ",\n".join(f"{json.dumps(k)}: {json.dumps(v)}" for k, v in sorted(results.items())) + "\n}\n"
    )


def filled(text, blocks):
    """Put new text between the marks of each block that the page has."""
    for name, new in blocks.items():
        before, mark, rest = text.partition(f"<!-- {name} -->\n")
        if mark:
            text = before + mark + new.rstrip() + "\n<!-- end -->" + rest.partition("<!-- end -->")[2]
    return text


def table(head, rows):
    lines = [head, ["---"] + ["---:"] * (len(head) - 1), *rows]
    return "\n".join("| " + " | ".join(map(str, line)) + " |" for line in lines)


def ours(results, machine):
    rows = []
    widths = {n: results[n]["hidden"] for n in ("committee", "shipped", "views")} | {
        "wide": results["wide-0"]["hidden"]
    }
    for title, key in ROWS.items():
        members = [
            r for name, r in sorted(results.items()) if name == key or re.fullmatch(f"{key}-[0-9]+", name)
        ]
        errors = np.array([m["test_errors"] for m in members]) / 100
        each = ", ".join(f"{e:.2f}" for e in errors)
        spread = f"{errors.mean():.2f}%" + (f" ± {errors.std(ddof=1):.2f}" if len(errors) > 1 else "")
        seconds = [m["seconds"] / 60 for m in members if "seconds" in m]
        rows.append([title.format(**widths), each, spread, f"{np.mean(seconds):.0f}" if seconds else ""])
    return table(["network", "errors of each seed, %", "mean", f"minutes each ({machine})"], rows)


def choices(results):
    rows = []
    for name, r in sorted(results.items()):
        if name.startswith("choice: "):
            epochs = r.get("epochs", [len(r["val_errors"])])[-1]
            rows.append(
                [name.removeprefix("choice: "), f"{r['val_errors'][-1]:.2f}", f"{r['val_E'][-1]:.4f}", epochs]
            )
    return table(["tried, on 50,000 images", "errors on the other 10,000, %", "E", "epochs"], rows)


def speed(results):
    return "\n".join(
        f"- Deformations of `--recipe {name.removeprefix('speed: ')}`: {r['images_a_second']:,} images a second."
        for name, r in sorted(results.items())
        if name.startswith("speed: ")
    )


def digits(results):
    rows = [
        [
            name.removeprefix("digits: "),
            f"{100 * r['accuracy']:.2f}%",
            f"{100 * r['spread']:.2f}",
            f"{r['seconds']:.0f}",
        ]
        for name, r in sorted(results.items(), key=lambda item: item[1].get("accuracy", 0))
        if name.startswith("digits: ")
    ]
    return table(["ten folds of 8 x 8 digits", "accuracy", "spread of the folds", "seconds"], rows)


def robust(results):
    nets = list(results["robustness"])
    rows = [
        [change, *(f"{100 * results['robustness'][net][change]:.2f}" for net in nets)]
        for change in results["robustness"][nets[0]]
    ]
    return table(["test images, errors in %", *nets], rows)


def answers(net, X, y):
    """Calibration, and what is left when unsure answers are not given."""
    right, sure = net.predict(X) == y, net.confidence(X)
    found = {"calibration error, %": 100 * compute_calibration_error(net.predict_proba(X).max(axis=1), right)}
    for below in (0.5, 0.9, 0.99):
        given = sure >= below
        found[f"answered with --reject-below {below}, %"] = 100 * given.mean()
        found[f"errors among these, % ({below})"] = 100 * np.mean(~right[given])
    strange = np.random.default_rng(0).permuted(X, axis=1)  # the same ink, anywhere
    found["pixels in a random order answered at 0.5, %"] = 100 * np.mean(net.confidence(strange) >= 0.5)
    return {name: round(float(value), 2) for name, value in found.items()}


def calibration(results):
    nets = list(results["calibration"])
    rows = [
        [name, *(f"{results['calibration'][net][name]:.2f}" for net in nets)]
        for name in results["calibration"][nets[0]]
    ]
    return table(["", *nets], rows)


def classes(net, X, y):
    predicted = net.predict(X)
    rows = []
    for digit in range(10):
        mine = y == digit
        wrong = predicted[mine & (predicted != y)]
        taken = ", ".join(f"{np.sum(wrong == other)} as {other}" for other in np.unique(wrong))
        rows.append([digit, f"{np.sum(mine):,}", len(wrong), f"{100 * len(wrong) / mine.sum():.2f}%", taken])
    return table(["digit", "images", "wrong", "share", "taken for"], rows)


def figures(results, package):
    r = results["package"]
    rows = [
        ["errors on the 10,000 test images", f"{r['test_errors'] / 100:.2f}%"],
        ["E per test image", f"{r['E']:.4f}"],
        ["size of the file", f"{package.stat().st_size / 1e6:.2f} MB"],
        *([name, f"{value:.2f}"] for name, value in results["calibration"]["package"].items()),
    ]
    return table(["", "figure"], rows)


def pictures(nets, results, X, y):
    net = nets["package"]
    predicted, sure = net.predict(X), net.confidence(X)
    wrong = np.flatnonzero(predicted != y)
    wrong = wrong[np.argsort(-sure[wrong])]
    labels = [f"{y[row]}, not {predicted[row]}" for row in wrong]
    save_figure(plot_images(X[wrong], labels=labels, columns=12, title="Every mistake of the model in the package"),
                DOCS / "record-mistakes.png", dpi=110)  # fmt: skip
    right = predicted == y
    save_figure(
        plot_reliability(net.predict_proba(X).max(axis=1), right), DOCS / "record-reliability.png", dpi=110
    )
    curves(results)


def curves(results):
    """Draw the errors on held-out images of the longer tries, the best of them first in the legend."""
    tries = [
        (r["val_errors"], r.get("epochs", np.arange(1, len(r["val_errors"]) + 1)), name)
        for name, r in results.items()
        if name.startswith("choice: ") and max(r.get("epochs", [len(r["val_errors"])])) >= 80
    ]
    ax = prepare_axes(None, (8.5, 4.8))
    for k, (errors, epochs, name) in enumerate(sorted(tries, key=lambda one: one[0][-1])):
        label = name.removeprefix("choice: ")
        ax.semilogy(epochs, errors, linewidth=1, color=f"C{k % 10}", linestyle="-:"[k // 10 % 2], label=label)
    ax.set_xlabel("epochs")
    ax.set_ylabel("errors on the last 10,000 training images, %")
    ax.set_yticks([0.5, 0.6, 0.8, 1, 1.5, 2, 3], ["0.5", "0.6", "0.8", "1", "1.5", "2", "3"])
    ax.set_ylim(0.48, 3.2)
    ax.grid(which="both", linewidth=0.3)
    ax.legend(fontsize=6.5)
    save_figure(ax, DOCS / "record-curves.png", dpi=110)
