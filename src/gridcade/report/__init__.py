"""The report of a comparison: sentences, tables, figures, and one HTML file that holds them all.

Everything in it follows from the comparison alone, so the same study gives the same report. This
package may import `study`, `recording` and what lies below them.
"""

from gridcade.report import findings, words
from gridcade.report.page import write as write
from gridcade.study.comparison import Comparison

__all__ = ["verdicts", "write"]


def verdicts(comparison: Comparison) -> list[str]:
    """Who is better on which environment, in sentences, which depend on the scores alone."""
    found = findings.find(comparison)
    tests, confidence = findings.tests(found), comparison.study.confidence
    return [said for one in found for said, _ in words.verdicts(one, confidence, tests)]
