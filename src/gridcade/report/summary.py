"""A comparison as text: the scores, the verdicts, and the failures."""

from dataclasses import dataclass
from pathlib import Path

from rich.table import Table
from rich.text import Text

from gridcade.printing import Part, Printed, number_table, unbroken
from gridcade.report import tables
from gridcade.report.analysis import analyze, num_tests
from gridcade.report.learning import learning_speeds
from gridcade.report.tables import ReportTable
from gridcade.report.verdicts import environment_sentences, score_sentence, speed_sentence
from gridcade.study.comparison import Comparison, Failure


@dataclass(frozen=True, repr=False)
class PrintedComparison(Printed, Comparison):
    """A comparison that prints as the command line's tables and verdicts."""

    page: Path | None = None  # the report

    def parts(self) -> list[Part]:
        """The scores, the verdicts, the failures, and the path of the report."""
        failures = [failure_line(failure) for failure in self.failures]
        page = [unbroken(f"report: {self.page}")] if self.page else []
        return [*summary(self), *failures, *page]


def summary(comparison: Comparison) -> list[Part]:
    """The scores of a comparison on every environment, and the verdicts."""
    study, analyses = comparison.study, analyze(comparison)
    parts: list[Part] = []
    for analysis in analyses:
        heading = Text.assemble((analysis.env, "bold"), f": {analysis.names.title}")
        scores = tables.score_table(analysis, study.confidence)
        # The gap to the optimum is left out, to fit into a terminal.
        parts += [heading, _table(scores, columns=4), ""]
        if speeds := learning_speeds(analysis, study.threshold, study.confidence):
            parts += [_table(tables.speed_table(speeds, study.threshold, study.confidence)), ""]
            parts.append(speed_sentence(speeds, study.threshold))
        parts.append(score_sentence(analysis, study.episodes))
        sentences = environment_sentences(analysis, study.confidence, num_tests(analyses))
        parts += [*(sentence for sentence, _ in sentences), ""]
    return parts


def _table(table: ReportTable, columns: int | None = None) -> Table:
    """The first columns of a report's table, for the terminal."""
    printed = number_table(*table.head[:columns])
    for row in table.rows:
        printed.add_row(*map(Text, row.cells[:columns]))
    return printed


def failure_line(failure: Failure) -> str:
    """Which task failed, and why."""
    seed = "" if failure.seed is None else f" seed {failure.seed}"
    return f"{failure.env} {failure.contender}{seed} failed: {failure.reason}"
