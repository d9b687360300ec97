"""The page: what was found, in words, figures and tables."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import tomli_w
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from gridcade.errors import InputError
from gridcade.report import findings, pictures, tables, words
from gridcade.report.figures import PALETTE, Picture, look
from gridcade.report.findings import Findings
from gridcade.report.pictures import Looks
from gridcade.report.replay import Replay, replay
from gridcade.report.tables import Table
from gridcade.study.comparison import Comparison
from gridcade.study.study import Study
from gridcade.training.run_folder import write_text

HERE = Path(__file__).parent
FIGURE = re.compile(  # that a report has written
    r"(\d\d+-.+-(scores|differences|(curves|training)-\w+)"
    r"|all-(interquartile-mean|performance-profiles|probability-of-improvement))\.(svg|png)"
)


@dataclass(frozen=True)
class Part:
    """What the page shows of an environment."""

    id: str
    env: str
    intro: str
    verdicts: tuple[tuple[str, bool], ...]  # a sentence, and whether something is told by it
    curves: tuple[Picture, ...]
    scores: Picture
    table: Table
    runs: Table
    differences: Picture | None
    replays: tuple[tuple[str, Replay], ...]

    @property
    def pictures(self) -> tuple[Picture, ...]:
        """All of its figures."""
        return (*self.curves, self.scores, *([self.differences] if self.differences else []))


def write(comparison: Comparison, out: Path) -> Path:
    """Write the report of a comparison: OUT/report.html, and its figures in OUT/figures.

    The page holds everything that it shows and loads nothing. The figures depend on the
    comparison alone, to the byte.

    Raises:
        InputError: it cannot be written there.
    """
    study = comparison.study
    found = findings.find(comparison)
    places = {entry.label: place for place, entry in enumerate(study.contenders)}
    looks = {name: look(place) for name, place in places.items()}
    parts = [_part(place, one, found, study, looks) for place, one in enumerate(found, 1)]
    together = findings.aggregate(found, study.confidence)
    improved = findings.improvements(found, study.confidence)
    overall = [] if together is None else [*pictures.aggregate(together, study.confidence, looks)]
    overall += [pictures.improvement(improved, study.confidence)] if improved else []
    outcomes = [o for one in found for s in one.scores for o in s.outcomes]
    templates = Environment(
        loader=FileSystemLoader(HERE), autoescape=True, undefined=StrictUndefined
    )
    page = templates.get_template("page.html.j2").render(
        css=Markup((HERE / "page.css").read_text(encoding="utf-8")),  # noqa: S704 - our own
        title=words.title(study),
        dates=words.dates(outcomes),
        lede=words.lede(comparison, found),
        colours={name: place % len(PALETTE) for name, place in places.items()},
        parts=parts,
        method=words.method(study, found),
        lone=words.lone(found),
        overall=overall,
        scale=words.aggregated(together, found),
        published=tables.published_scores(found),
        hyperparameters=tables.hyperparameters(found),
        failures=tables.failures(comparison.failures),
        restarts=words.restarts(found),
        provenance=tables.provenance(outcomes, comparison.sessions),
        study=tomli_w.dumps(study.as_dict()),
        command=words.command(comparison),
        again=words.again(study),
    )
    try:
        folder = out / "figures"
        folder.mkdir(parents=True, exist_ok=True)
        shown = [*(p for part in parts for p in part.pictures), *overall]
        for old in folder.iterdir():  # of the study before it grew
            if FIGURE.fullmatch(old.name) and old.stem not in {p.name for p in shown}:
                old.unlink()
        for picture in shown:
            write_text(folder / f"{picture.name}.svg", picture.svg)
            (folder / f"{picture.name}.png").write_bytes(picture.png)
        file = out / "report.html"
        write_text(file, page)
    except OSError as error:
        raise InputError(f"cannot write the report into '{out}': {error.strerror}") from None
    return file


def _part(place: int, one: Findings, found: Sequence[Findings], study: Study, looks: Looks) -> Part:
    slug = re.sub("[^A-Za-z0-9]+", "-", one.env).strip("-").lower()[:40]
    name, confidence = f"{place:02}-{slug}", study.confidence
    return Part(
        id=f"environment-{place}",
        env=one.env,
        intro=words.introduction(one, study.episodes),
        verdicts=tuple(words.verdicts(one, confidence, findings.tests(found))),
        curves=tuple(pictures.curves(name, one, confidence, looks)),
        scores=pictures.scores(name, one, confidence, looks),
        table=tables.scores(one, confidence),
        runs=tables.runs(one),
        differences=pictures.differences(name, one, confidence),
        replays=tuple((s.contender, replay(s.outcomes[0], one.env)) for s in one.scores),
    )
