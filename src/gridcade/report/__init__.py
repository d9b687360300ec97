"""The report of a comparison: one page that opens anywhere, and its figures as files."""

from gridcade.comparison import Comparison
from gridcade.report import findings, words
from gridcade.report.page import write as write

__all__ = ["verdicts", "write"]


def verdicts(comparison: Comparison) -> list[str]:
    """Who is better on which environment, in sentences, which depend on the scores alone."""
    found = findings.find(comparison)
    tests, confidence = findings.tests(found), comparison.study.confidence
    return [said for one in found for said, _ in words.verdicts(one, confidence, tests)]
