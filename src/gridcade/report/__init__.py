"""Reports of a comparison: results for programs, and verdicts, tables and figures on a page.

A report depends on the comparison alone, so the same study gives the same report. This package may
import `study`, `recording` and the packages below them.
"""

from gridcade.report.page import write_page as write_page
from gridcade.report.results import write_results as write_results

__all__ = ["write_page", "write_results"]
