"""Drawings of a network, its training and its answers.

Every function draws on the axes it is given, or on a new figure of its own, and returns the axes. That figure
knows nothing of windows or of pyplot's state, so the functions work on servers, in threads, in notebooks:
`axes.figure` shows itself there, and `save_figure(axes, path)` writes it to a file.
"""

from thetanet.plots.answers import plot_images, plot_mistakes, plot_rejection, plot_reliability
from thetanet.plots.axes import save_figure
from thetanet.plots.descent import plot_descent_path, plot_methods
from thetanet.plots.training import plot_confusion, plot_hidden_units, plot_learning_curve

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
