"""Plots of a network, its training and its answers.

Each function draws on `ax`, or on a new figure, and returns the axes. A new figure has neither a window nor
pyplot's state, so the functions work on servers, in threads and in notebooks, where `axes.figure` displays
itself; `save_figure(axes, path)` writes it to a file.
"""

from thetanet.plots.answers import plot_confusion, plot_rejection, plot_reliability
from thetanet.plots.axes import save_figure
from thetanet.plots.descent_path import plot_descent_path
from thetanet.plots.histories import plot_learning_curve, plot_methods
from thetanet.plots.images import plot_hidden_units, plot_images, plot_mistakes

__all__ = [
    "plot_confusion",
    "plot_descent_path",
    "plot_hidden_units",
    "plot_images",
    "plot_learning_curve",
    "plot_methods",
    "plot_mistakes",
    "plot_rejection",
    "plot_reliability",
    "save_figure",
]
