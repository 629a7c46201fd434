"""Showing an evaluation: tables in the terminal, and a report in one HTML file."""

from modelsat.lab.evaluation.report.html import write_report
from modelsat.lab.evaluation.report.terminal import show

__all__ = ["show", "write_report"]
