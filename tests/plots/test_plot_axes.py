"""Common to all plots: the axes they draw on, figures without pyplot, files, names as text."""

import doctest
import subprocess
import sys
from functools import partial

import numpy as np
import pytest

from thetanet import Theta, plots
from thetanet.errors import InputError, MissingExtraError
from thetanet.plots import (
    plot_confusion,
    plot_descent_path,
    plot_hidden_units,
    plot_images,
    plot_learning_curve,
    plot_methods,
    plot_mistakes,
    plot_rejection,
    plot_reliability,
    save_figure,
)

matplotlib = pytest.importorskip("matplotlib")

HISTORY = {
    "epoch": [1, 2, 3],
    "error": [0.4, 0.2, 0.1],
    "accuracy": [0.8, 0.9, 0.95],
    "val_error": [0.5, 0.3, 0.2],
    "val_accuracy": [0.7, 0.85, 0.9],
}


@pytest.fixture
def draw_functions(bars_net, bars, xor, train_on_xor):
    """Return every plot function as a function of the axes alone, by name."""
    path, history = train_on_xor(epochs=5)
    theta = Theta.random(784, 30, 10)
    return {
        "confusion": partial(plot_confusion, np.eye(2), "ab"),
        "descent_path": partial(plot_descent_path, path, *xor, grid=5),
        "hidden_units": partial(plot_hidden_units, theta),
        "images": partial(plot_images, bars[0]),
        "learning_curve": partial(plot_learning_curve, history),
        "methods": partial(plot_methods, {"a": history}),
        "mistakes": partial(plot_mistakes, bars_net, *bars),
        "rejection": partial(plot_rejection, [0.5, 0.9], [True, False]),
        "reliability": partial(plot_reliability, [0.5, 0.9], [True, False]),
    }


def test_every_plot_function_is_here(draw_functions):
    assert {f"plot_{name}" for name in draw_functions} == {*plots.__all__} - {"save_figure"}


def test_all_draw_on_given_axes_and_leave_the_others_alone(draw_functions):
    from matplotlib.figure import Figure

    figure = Figure(figsize=(12, 10))
    axes = figure.subplots(3, 4).ravel()
    for ax, draw in zip(axes, draw_functions.values(), strict=False):
        assert draw(ax=ax) is ax
    assert not any(ax.has_data() for ax in axes[len(draw_functions) :])
    assert len(figure.axes) == 12 + 1  # no colour bars; the right axis of the learning curve
    figure.canvas.draw()


def test_neither_pyplot_nor_a_backend_is_touched():
    code = (
        "import sys, thetanet.plots as p; assert not any(m.startswith('matplotlib') for m in sys.modules);"
        "assert not {'sklearn', 'numba', 'scipy'} & set(sys.modules);"
        "p.plot_learning_curve({'error': [1.0]}).figure.canvas.draw();"
        "p.plot_methods({'a': {'error': [1.0], 'samples': [3]}}).figure.canvas.draw();"
        "p.plot_descent_path([[0, 0], [1, 2]], error=lambda p: p @ p, grid=5).figure.canvas.draw();"
        "p.plot_rejection([0.5], [True]).figure.canvas.draw();"
        "assert 'matplotlib.pyplot' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_without_matplotlib_the_error_says_what_to_install(monkeypatch, draw_functions):
    for name in [name for name in sys.modules if name.partition(".")[0] == "matplotlib"]:
        monkeypatch.setitem(sys.modules, name, None)
    for draw in draw_functions.values():
        with pytest.raises(MissingExtraError, match=r"thetanet\[plot\]"):
            draw()


@pytest.mark.parametrize("ending", ["png", "svg", "pdf"])
def test_save_figure_writes_the_format_of_the_ending(ending, tmp_path):
    path = tmp_path / f"curve.{ending}"
    save_figure(plot_learning_curve(HISTORY), path)
    head = {"png": b"\x89PNG", "svg": b"<?xml", "pdf": b"%PDF"}[ending]
    assert path.read_bytes().startswith(head)


@pytest.mark.parametrize("name", ["curve.xyz", "missing/curve.png"])
def test_save_figure_names_the_path_it_cannot_write(name, tmp_path):
    with pytest.raises(InputError, match=r"curve\."):
        save_figure(plot_learning_curve(HISTORY), tmp_path / name)


def test_names_with_dollars_are_text_and_no_mathematics(tmp_path):
    names = ["$10-$20", "$20^$30"]
    drawn = [
        plot_confusion([[1, 2], [3, 4]], names),
        plot_images(np.ones((2, 4)), (2, 2), labels=names),
        plot_methods({name: {"samples": [4, 8], "error": [0.2, 0.1]} for name in names}),
    ]
    with matplotlib.rc_context({"svg.fonttype": "none"}):
        for ax in drawn:
            save_figure(ax, tmp_path / "names.svg")
            assert all(name in (tmp_path / "names.svg").read_text() for name in names)


def test_a_figure_shows_itself_in_a_notebook():
    figure = plot_learning_curve({"error": [2.0, 1.0]}).figure
    assert figure._repr_png_().startswith(b"\x89PNG")


@pytest.mark.parametrize("module", [plots.descent_path, plots.histories, plots.images])
def test_examples_in_docstrings(module):
    failed, tried = doctest.testmod(module)
    assert tried > 0
    assert failed == 0
