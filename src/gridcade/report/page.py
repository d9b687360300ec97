"""The page of a report: one HTML file with all verdicts, figures, tables and videos."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import tomli_w
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from gridcade.errors import InputError
from gridcade.files import write_text
from gridcade.report import figures, page_text, tables, training_figures, verdicts
from gridcade.report.analysis import (
    EnvironmentAnalysis,
    aggregate,
    analyze,
    improvements,
    num_tests,
)
from gridcade.report.clips import EpisodeClip, record_clip
from gridcade.report.drawing import PALETTE, Figure, PlotStyles, plot_styles
from gridcade.report.learning import learning_speeds
from gridcade.report.phrases import dates
from gridcade.report.tables import ReportTable
from gridcade.study.comparison import Comparison
from gridcade.study.study import Study

TEMPLATES = Path(__file__).parent
FIGURE_FILE = re.compile(  # names of the files that a report writes into figures/
    r"(\d\d+-.+-(scores|differences|record|sweep-[\w-]+|(curves|training)-\w+)"
    r"|all-(interquartile-mean|performance-profiles|probability-of-improvement))\.(svg|png)"
)


@dataclass(frozen=True)
class EnvironmentSection:
    """The section of the page about an environment."""

    id: str
    env: str
    introduction: str
    verdicts: tuple[tuple[str, bool], ...]  # sentences, and whether each is significant
    curves: tuple[Figure, ...]
    scores: Figure
    score_table: ReportTable
    speed_table: ReportTable | None
    speed_sentence: str
    run_table: ReportTable | None  # None if only training was measured
    differences: Figure | None
    clips: tuple[tuple[str, EpisodeClip], ...]  # contenders and their clips

    @property
    def figures(self) -> tuple[Figure, ...]:
        """All figures of the section."""
        return (*self.curves, self.scores, *([self.differences] if self.differences else []))


def write_page(comparison: Comparison, out: Path) -> Path:
    """Write OUT/report.html and the figures in OUT/figures; return the page's path.

    The page embeds all that it shows, and loads nothing. Figures are reproducible to the byte.

    Raises:
        InputError: the files cannot be written.
    """
    study = comparison.study
    analyses = analyze(comparison)
    labels = [spec.label for spec in study.contenders]
    styles = plot_styles(study)
    sections = [_section(n, a, analyses, comparison, styles) for n, a in enumerate(analyses, 1)]
    overall, aggregate_sentences = _aggregates(analyses, study, styles)
    results = [r for a in analyses for s in a.scores for r in s.results]
    templates = Environment(
        loader=FileSystemLoader(TEMPLATES), autoescape=True, undefined=StrictUndefined
    )
    page = templates.get_template("page.html.j2").render(
        css=Markup((TEMPLATES / "page.css").read_text(encoding="utf-8")),  # noqa: S704 - our own
        title=page_text.title(study),
        dates=dates(results),
        summary=page_text.summary(comparison, analyses),
        colors={label: index % len(PALETTE) for index, label in enumerate(labels)},
        sections=sections,
        method=verdicts.method_sentences(study, analyses),
        no_aggregate=page_text.no_aggregate_sentence(analyses),
        aggregate_figures=overall,
        aggregate_sentences=aggregate_sentences,
        published=tables.published_tables(analyses),
        hyperparameters=tables.hyperparameter_tables(analyses),
        failures=tables.failure_table(comparison.failures),
        interruptions=page_text.interruption_sentences(analyses),
        provenance=tables.provenance_table(results, comparison.sessions),
        study=tomli_w.dumps(study.as_dict()),
        command=page_text.command(comparison),
        reproducibility=page_text.reproducibility_sentence(study),
    )
    file = out / "report.html"
    try:
        _write_figures(out / "figures", [*(f for s in sections for f in s.figures), *overall])
        write_text(file, page)
    except OSError as error:
        raise InputError(f"cannot write the report into '{out}': {error.strerror}") from None
    return file


def _section(
    number: int,
    analysis: EnvironmentAnalysis,
    analyses: Sequence[EnvironmentAnalysis],
    comparison: Comparison,
    styles: PlotStyles,
) -> EnvironmentSection:
    study = comparison.study
    slug = re.sub("[^A-Za-z0-9]+", "-", analysis.env).strip("-").lower()[:40]
    name, confidence, tests = f"{number:02}-{slug}", study.confidence, num_tests(analyses)
    speeds = learning_speeds(analysis, study.threshold, confidence)
    return EnvironmentSection(
        id=f"environment-{number}",
        env=analysis.env,
        introduction=verdicts.score_sentence(analysis, study),
        verdicts=tuple(verdicts.environment_sentences(analysis, confidence, tests)),
        curves=tuple(training_figures.curves(name, analysis, comparison, styles)),
        scores=figures.score_figure(name, analysis, confidence, styles),
        score_table=tables.score_table(analysis, confidence),
        speed_table=tables.speed_table(speeds, study.threshold, confidence) if speeds else None,
        speed_sentence=verdicts.speed_sentence(speeds, study.threshold) if speeds else "",
        run_table=tables.run_table(analysis) if study.measure == "evaluation" else None,
        differences=figures.difference_figure(name, analysis, confidence),
        clips=tuple(
            (s.contender, record_clip(s.results[0], analysis.env))
            for s in analysis.scores
            if study.measure == "evaluation"
        ),
    )


def _aggregates(
    analyses: Sequence[EnvironmentAnalysis], study: Study, styles: PlotStyles
) -> tuple[list[Figure], list[str]]:
    """Return the figures over all environments, and the sentences that explain them."""
    if study.measure != "evaluation" or any(spec.sweep for spec in study.contenders):
        return [], []
    aggregated = aggregate(analyses, study.confidence)
    improved = improvements(analyses, study.confidence)
    shown: list[Figure] = []
    if aggregated is not None:
        shown += figures.aggregate_figures(aggregated, study.confidence, styles)
    if improved:
        shown.append(figures.improvement_figure(improved, study.confidence))
    return shown, page_text.aggregate_sentences(aggregated, analyses)


def _write_figures(folder: Path, shown: Sequence[Figure]) -> None:
    """Write figures as SVG and PNG, and remove those of an earlier report that are outdated."""
    folder.mkdir(parents=True, exist_ok=True)
    names = {figure.name for figure in shown}
    for file in folder.iterdir():
        if FIGURE_FILE.fullmatch(file.name) and file.stem not in names:
            file.unlink()
    for figure in shown:
        write_text(folder / f"{figure.name}.svg", figure.svg)
        (folder / f"{figure.name}.png").write_bytes(figure.png)
