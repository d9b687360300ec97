"""The report of a comparison: one page that opens anywhere, and its figures as files."""

from gridcade.report.page import write as write

__all__ = ["write"]
