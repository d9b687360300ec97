"""A comparison as text: the scores, the verdicts, and the failures."""

from dataclasses import dataclass, replace
from pathlib import Path
from uuid import uuid4

from markupsafe import Markup
from rich.table import Table
from rich.text import Text

from gridcade.printing import Part, Printed, number_table, unbroken
from gridcade.report import tables
from gridcade.report.analysis import analyze, num_tests
from gridcade.report.drawing import INK, MUTED, PALETTE, PAPER, RULE, Figure, plot_styles
from gridcade.report.figures import score_figure
from gridcade.report.learning import learning_speeds
from gridcade.report.tables import ReportTable
from gridcade.report.training_figures import curves
from gridcade.report.verdicts import environment_sentences, score_sentence, speed_sentence
from gridcade.study.comparison import Comparison, Failure

# The variables of a figure's colors, which the report's page.css defines too.
COLORS = (
    "".join(
        f"--{name}: {color}; "
        for name, color in [
            *(("ink", INK), ("muted", MUTED), ("rule", RULE), ("paper", PAPER)),
            *((f"contender-{index}", color) for index, color in enumerate(PALETTE)),
        ]
    )
    + f"color: {INK}; background: {PAPER}; padding: 0.8em"
)


@dataclass(frozen=True, repr=False)
class PrintedComparison(Printed, Comparison):
    """A comparison that prints as the command line's tables and verdicts."""

    page: Path | None = None  # the report

    def parts(self) -> list[Part]:
        """The scores, the verdicts, the failures, and the path of the report."""
        failures = [failure_line(failure) for failure in self.failures]
        page = [unbroken(f"report: {self.page}")] if self.page else []
        return [*summary(self), *failures, *page]

    def pictures(self) -> list[Markup]:
        """The scores and learning curves on every environment."""
        confidence = self.study.confidence
        styles = plot_styles(self.study)
        drawn = []
        for number, analysis in enumerate(analyze(self)):
            name = f"notebook-{number}"
            drawn += [
                score_figure(name, analysis, confidence, styles),
                *curves(name, analysis, self, styles),
            ]
        return [_figure(figure) for figure in drawn]


def _figure(figure: Figure) -> Markup:
    """Return a figure with its caption as HTML for a notebook, in the colors of a white page."""
    # The names of a notebook's figures must differ, because the ids in their SVG start with them.
    unique = replace(figure, name=f"{figure.name}-{uuid4().hex[:8]}")
    return Markup(
        '<figure style="margin: 1em 0; max-width: 36em; {}">{}<figcaption>{}</figcaption></figure>'
    ).format(COLORS, unique.inline, figure.caption)


def summary(comparison: Comparison) -> list[Part]:
    """Return the scores of a comparison on every environment, and the verdicts."""
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
        parts.append(score_sentence(analysis, study))
        sentences = environment_sentences(analysis, study.confidence, num_tests(analyses))
        parts += [*(sentence for sentence, _ in sentences), ""]
    return parts


def _table(table: ReportTable, columns: int | None = None) -> Table:
    """Convert the first columns of a report's table for the terminal."""
    printed = number_table(*table.head[:columns])
    for row in table.rows:
        printed.add_row(*map(Text, row.cells[:columns]))
    return printed


def failure_line(failure: Failure) -> str:
    """Return a line that says which task failed, and why."""
    seed = "" if failure.seed is None else f" seed {failure.seed}"
    return f"{failure.env} {failure.contender}{seed} failed: {failure.reason}"
