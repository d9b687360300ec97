"""A comparison as text: the scores, the verdicts, and the failures."""

from dataclasses import dataclass
from pathlib import Path

from rich.text import Text

from gridcade.printing import Part, Printed, number_table, unbroken
from gridcade.report import tables
from gridcade.report.analysis import analyze, num_tests
from gridcade.report.verdicts import environment_sentences, score_sentence
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
        scores = tables.score_table(analysis, study.confidence)
        columns = scores.head[:4]  # without the gap to the optimum, to fit into a terminal
        table = number_table(*columns)
        for row in scores.rows:
            table.add_row(*map(Text, row.cells[: len(columns)]))
        heading = Text.assemble((analysis.env, "bold"), f": {analysis.names.title}")
        parts += [heading, table, "", score_sentence(analysis, study.episodes)]
        sentences = environment_sentences(analysis, study.confidence, num_tests(analyses))
        parts += [*(sentence for sentence, _ in sentences), ""]
    return parts


def failure_line(failure: Failure) -> str:
    """Which task failed, and why."""
    seed = "" if failure.seed is None else f" seed {failure.seed}"
    return f"{failure.env} {failure.contender}{seed} failed: {failure.reason}"
