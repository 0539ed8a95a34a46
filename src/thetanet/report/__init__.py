"""The report on a model: one HTML file."""

from thetanet.report.report import About, html_report

__all__ = ["About", "html_report"]
