"""The page as a whole: that it is well formed, loads nothing, and holds what was found."""

import re
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from comparisons import made_up, real

from gridcade import report
from gridcade.errors import InputError
from gridcade.formatting import number
from gridcade.report import findings, pictures
from gridcade.study.comparison import Comparison, Failure, Outcome
from gridcade.study.study import Entry, Study, read_study

VOID = {"meta", "img", "link", "br", "hr", "input", "source"}
LOADING = {"src", "href", "xlink:href", "poster", "data", "srcset", "action", "background"}
SCORES = [0.61234, 0.71234, 0.81234]
STRANGE = ["<b>&\"'", "_under $x$ 学习"]


class Page(HTMLParser):
    """A page's tags, texts and links; that tags close in order is asserted."""

    def __init__(self, file: Path):
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self.feed(file.read_text(encoding="utf-8"))
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] not in ("style", "title"):
            self.texts.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.texts).split())

    def values(self, name: str) -> list[str]:
        return [value for _, attrs in self.tags if (value := attrs.get(name))]


@pytest.fixture(scope="module")
def studied(tmp_path_factory: pytest.TempPathFactory) -> Comparison:
    return real(tmp_path_factory.mktemp("runs"))


@pytest.fixture(scope="module")
def written(studied: Comparison, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return report.write(studied, tmp_path_factory.mktemp("out"))


@pytest.fixture(scope="module")
def page(written: Path) -> Page:
    return Page(written)


def assert_loads_nothing(page: Page) -> None:
    for tag, attrs in page.tags:
        for name in LOADING & set(attrs):
            assert (attrs[name] or "").startswith(("#", "data:")), (tag, name, attrs[name])
        assert tag not in ("script", "link", "iframe", "object", "embed", "base")
    styles = "".join(page.values("style"))
    assert all(target.startswith("#") for target in re.findall(r"url\(([^)]*)\)", styles))


def test_the_page_loads_nothing(written: Path, page: Page) -> None:
    assert_loads_nothing(page)
    text = written.read_text(encoding="utf-8")
    assert "http:" not in text
    assert "https:" not in text
    assert "@import" not in text


def test_the_page_can_be_navigated(page: Page) -> None:
    ids = page.values("id")
    assert len(ids) == len(set(ids))
    links = [attrs["href"] for tag, attrs in page.tags if tag == "a"]
    assert links
    assert all(link is not None and link[1:] in ids for link in links)
    levels = [int(tag[1]) for tag, _ in page.tags if re.fullmatch("h[1-6]", tag)]
    assert levels.count(1) == 1
    assert all(b - a <= 1 for a, b in pairwise(levels))
    for tag, attrs in page.tags:
        if tag == "svg":
            assert attrs["role"] == "img"
            assert attrs["aria-label"]
        if tag == "th":
            assert attrs["scope"] in ("row", "col")
        if tag in ("video", "img"):
            assert attrs.get("aria-label") or attrs.get("alt")


def test_every_runs_numbers_are_there(studied: Comparison, page: Page) -> None:
    for label, runs in studied.outcomes["FourRooms"].items():
        for run in runs:
            told = run.evaluation
            means = [told[name]["mean"] for name in ("expected_return", "average_reward")]
            cells = map(number, [*means, told["exact"]["expected_return"]])
            seed = "-" if run.seed is None else str(run.seed)
            assert " ".join([label, seed, *cells]) in page.text


def test_verdicts_stand_in_the_page(page: Page) -> None:
    assert "optimal is better than random on FourRooms: difference" in page.text
    assert "optimal reaches the optimum exactly on FourRooms." in page.text
    assert "random reaches" not in page.text


def test_a_study_can_be_made_again_from_the_page(studied: Comparison, page: Page) -> None:
    code = page.texts.index("study.toml")
    text = next(t for t in page.texts[code + 1 :] if "contenders" in t)
    file = Path(studied.outcomes["FourRooms"]["q-learning"][0].run or "").parent / "study.toml"
    file.write_text(text)
    assert read_study(file).as_dict() == studied.study.as_dict()
    assert "gridcade compare study.toml" in page.text


def test_each_contender_has_a_replay(page: Page) -> None:
    films = [attrs for tag, attrs in page.tags if tag in ("video", "img")]
    assert len(films) == 3
    assert all((f["src"] or "").startswith(("data:video/mp4", "data:image/webp")) for f in films)


def test_figures_lie_beside_the_page(written: Path) -> None:
    folder = written.parent / "figures"
    names = {file.stem for file in folder.iterdir()}
    assert {"01-fourrooms-scores", "01-fourrooms-curves-seconds"} < names
    for name in names:
        assert (folder / f"{name}.svg").read_text(encoding="utf-8").startswith("<?xml")
        assert (folder / f"{name}.png").read_bytes().startswith(b"\x89PNG")


def test_the_same_comparison_gives_the_same_figures(
    studied: Comparison, written: Path, tmp_path: Path
) -> None:
    again = report.write(studied, tmp_path)
    first, second = (
        {f.name: f.read_bytes() for f in (file.parent / "figures").iterdir()}
        for file in (written, again)
    )
    assert first == second
    report.write(studied, tmp_path)  # into the same place


def test_no_figure_of_a_smaller_study_is_left(tmp_path: Path) -> None:
    few: dict[str, Any] = {"A": SCORES, "B": [0.5, 0.6, 0.4]}
    report.write(made_up({"E": few}), tmp_path / "grown")
    more = made_up({"F": few, "E": few})
    kept = tmp_path / "grown/figures/my-scores.svg"
    kept.touch()
    names = [
        {file.name for file in (report.write(more, out).parent / "figures").iterdir()}
        for out in (tmp_path / "grown", tmp_path / "at once")
    ]
    assert names[0] - names[1] == {kept.name}
    assert names[1] < names[0]


@pytest.mark.parametrize(
    ("a", "told", "said"),
    [
        ([1.0, 1.0], False, "; all resamples agree"),
        ([0.5, 1.0, 1.1, 1.2, 1.3, 1.4], False, "; 6 seeds: bootstrap intervals of fewer than 10"),
        ([0.5, 1.0, 1.1, 1.2, 1.3, 1.4] * 2, True, ""),
    ],
)
def test_the_probability_of_improvement_is_told_by_seeds_enough(
    a: list[float], told: bool, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pictures, "draw", lambda *shown: shown)
    b = [0.5 + 0.01 * seed for seed in range(len(a))] if len(a) > 2 else [0.5, 0.5]
    found = findings.find(made_up({"E": {"A": a, "B": b}}))
    made: Any = pictures.improvement(findings.improvements(found, 0.95), 0.95)
    *_, caption, _, paint = made
    ((_, probability, filled),) = paint.keywords["rows"]
    assert not probability.low <= 0.5 <= probability.high
    assert filled is told
    assert said in caption
    assert caption.endswith("filled where one is without 0.5, of seeds enough.") is told


def edge_cases() -> Iterator[Any]:
    few: dict[str, Any] = {"A": SCORES, "B": [0.5, 0.6, 0.4]}
    yield pytest.param(made_up({"E": few}), id="several seeds")
    yield pytest.param(made_up({"E": {"A": [0.5], "B": [0.6]}}), id="one seed")
    yield pytest.param(made_up({"E": {"A": [0.5, 0.5], "B": [0.5, 0.5]}}), id="all seeds equal")
    yield pytest.param(made_up({"E": {"A": SCORES}}), id="one contender")
    yield pytest.param(made_up({"E": few}, continuing=True), id="a continuing task")
    yield pytest.param(made_up({"E": few}, criterion="average-reward"), id="average reward")
    yield pytest.param(made_up({"E": few}, metrics=(None, None, 0.5)), id="few evaluations")
    yield pytest.param(made_up({"E": few}, metrics=(None, None)), id="no evaluation")
    yield pytest.param(made_up({"E": few}, metrics=(0.5,)), id="one epoch")
    yield pytest.param(made_up({"E": few}, metrics=()), id="no epoch")
    yield pytest.param(made_up({"E": few | {"C": 0.3, "D": 0.9}}), id="fixed policies")
    yield pytest.param(made_up({"E": {STRANGE[0]: SCORES, STRANGE[1]: [0.1, 0.2]}}), id="names")
    yield pytest.param(made_up({"<i>&?a=1": few, "?": few}), id="names of environments")
    yield pytest.param(
        made_up({"E": {"A": SCORES, "B": []}}, failures=[Failure("B", "E", 0, "<no> luck")]),
        id="a contender that failed",
    )
    yield pytest.param(
        made_up({"E": {"A": []}}, failures=[Failure("A", "E", None, "no luck")]), id="all failed"
    )
    yield pytest.param(made_up({"E": {f"c{i}": SCORES for i in range(10)}}), id="ten contenders")
    yield pytest.param(made_up({"Breakout": few, "Alien": few, "E": few}), id="Atari")


@pytest.mark.filterwarnings("ignore:Glyph")
@pytest.mark.parametrize("comparison", list(edge_cases()))
def test_whatever_was_found_makes_a_page(comparison: Comparison, tmp_path: Path) -> None:
    page = Page(report.write(comparison, tmp_path))
    assert_loads_nothing(page)
    for contenders in comparison.outcomes.values():
        for label, runs in contenders.items():
            assert " ".join(label.split()) in page.text
            for run in runs:
                assert number(run.evaluation["average_reward"]["mean"]) in page.text
    for failure in comparison.failures:
        assert failure.reason in page.text
    assert "nan" not in page.text.split()


def test_a_game_stands_beside_what_was_published(tmp_path: Path) -> None:
    page = Page(report.write(made_up({"Breakout": {"A": SCORES}}), tmp_path))
    assert "401.2 ± 26.9" in page.text
    assert "HNeat pixel" in page.text
    assert "28,010" in page.text  # Seaquest, of a human
    page = Page(report.write(made_up({"Alien": {"A": SCORES}}), tmp_path))
    assert "3,069 ± 1,093" in page.text
    assert "HNeat" not in page.text  # not one of the seven
    both: dict[str, Any] = {"Breakout": {"A": [23.5]}, "Breakout?protocol=2013": {"A": [45.5]}}
    text = Page(report.write(made_up(both | {"Pong": {"A": [7.5]}}), tmp_path)).text
    assert "Breakout 1.7 31.8 401.2 ± 26.9 23.5" in text
    assert "Breakout?protocol=2013 1.7 31.8 401.2 ± 26.9 45.5" in text
    assert "A on Breakout and Pong - 23.5 - 7.5 " in text
    assert "A on Breakout?protocol=2013 - 45.5 - - " in text
    assert "DQN 2015" not in Page(report.write(made_up({"E": {"A": SCORES}}), tmp_path)).text


def test_hyperparameters_that_differ_are_marked(tmp_path: Path) -> None:
    comparison = made_up({"E": {"A": SCORES, "B": SCORES}})

    def configured(runs: tuple[Outcome, ...], **values: Any) -> tuple[Outcome, ...]:
        config = {"agent": "q-learning", "seed": 0, "preset": "watkins", "hyperparameters": values}
        return tuple(replace(run, config=config) for run in runs)

    made = {
        "A": configured(comparison.outcomes["E"]["A"], discount=0.99, step={"initial": 0.5}),
        "B": configured(comparison.outcomes["E"]["B"], discount=0.9, step={"initial": 0.5}, n=1),
    }
    page = Page(report.write(replace(comparison, outcomes={"E": made}), tmp_path))
    assert [attrs.get("class") for tag, attrs in page.tags if tag == "tr"].count("differs") == 1
    assert "discount ≠ (differs) 0.99 0.9" in page.text
    assert "step.initial 0.5 0.5" in page.text
    assert "n - 1" in page.text


def test_hyperparameters_of_the_reference_stand_beside_ours(tmp_path: Path) -> None:
    comparison = made_up({"E": {"A": SCORES, "B": SCORES, "C": SCORES}})
    configs: dict[str, dict[str, Any]] = {
        "A": {"agent": "dqn", "hyperparameters": {"discount": 0.99, "n_step": 3, "hidden": [64]}},
        "B": {
            "agent": "sb3-dqn",
            "hyperparameters": {"gamma": 0.9, "n_steps": 3, "policy_kwargs": {"net_arch": [64]}},
        },
        "C": {"agent": "sb3-ppo", "hyperparameters": {"gamma": 0.99, "n_steps": 128, "tau": 0.5}},
    }
    made = {
        label: tuple(replace(run, config=configs[label]) for run in runs)
        for label, runs in comparison.outcomes["E"].items()
    }
    page = Page(report.write(replace(comparison, outcomes={"E": made}), tmp_path))
    assert "discount ≠ (differs) 0.99 0.9 0.99" in page.text
    assert "n_step 3 3 -" in page.text
    assert "hidden 64 64 -" in page.text
    assert "rollout - - 128" in page.text
    assert "tau - - 0.5" in page.text


@pytest.mark.parametrize(
    ("noted", "what"),
    [({"started_over": 1000}, "started over"), ({}, "went on from its last checkpoint")],
)
def test_interrupted_runs_are_told(noted: dict[str, int], what: str, tmp_path: Path) -> None:
    comparison = made_up({"E": {"A": SCORES}})
    first, second, third = comparison.outcomes["E"]["A"]
    session = {"started": "2025-01-31T10:00:00+00:00", "commit": "c" * 40, "dirty": True}
    other = session | {"started": "2025-02-02T10:00:00+00:00"} | noted
    runs = (
        replace(first, sessions=(session,)),
        replace(second, sessions=(session, other)),
        replace(third, sessions=(session, other)),
    )
    page = Page(report.write(replace(comparison, outcomes={"E": {"A": runs}}), tmp_path))
    assert f"A on E, seeds 1 and 2: interrupted, and {what}." in page.text
    assert "2025-01-31 to 2025-02-02" in page.text
    assert "cccccccccccc (changed)" in page.text


def test_what_the_clock_bounds_is_told_with_what_ran_beside_it(tmp_path: Path) -> None:
    comparison = made_up({"E": {"A": SCORES}})
    runs = tuple(
        replace(run, sessions=({"started": "2025-01-31T10:00:00+00:00"},))
        for run in comparison.outcomes["E"]["A"]
    )
    sessions = ({"backend": "ray", "jobs": None}, {"backend": "loky", "jobs": 2})
    comparison = replace(comparison, outcomes={"E": {"A": runs}}, sessions=sessions)
    page = Page(report.write(comparison, tmp_path))
    assert "side by side all that a ray cluster has, 2 runs by loky" in page.text
    assert "--jobs" not in page.text  # the steps bound it, whatever runs beside
    by_time = replace(comparison, study=replace(comparison.study, minutes=1.0))
    assert "gridcade compare study.toml --jobs 2" in Page(report.write(by_time, tmp_path)).text


def test_a_place_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    file = tmp_path / "taken"
    file.touch()
    with pytest.raises(InputError, match="cannot write the report into"):
        report.write(made_up({"E": {"A": SCORES}}), file)


def test_a_browser_opens_the_page(written: Path, tmp_path: Path) -> None:
    chromium = shutil.which("chromium")
    if chromium is None:
        pytest.skip("chromium is not installed")
    options = [
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--no-first-run",
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-sync",
        "--proxy-server=127.0.0.1:9",  # no network
        "--enable-logging=stderr",
        f"--user-data-dir={tmp_path}",
        "--dump-dom",
    ]
    shown = subprocess.run(
        [chromium, *options, written.as_uri()], capture_output=True, text=True, timeout=60
    )
    assert "optimal is better than random on FourRooms" in shown.stdout
    assert "CONSOLE" not in shown.stderr  # neither an error nor what the page's policy refused


def test_a_study_without_training_has_no_hyperparameters(tmp_path: Path) -> None:
    study = Study((Entry("random"), Entry("optimal")), ("E",))
    comparison = made_up({"E": {"random": 0.1, "optimal": 0.2}})
    page = Page(report.write(replace(comparison, study=study), tmp_path))
    assert "Hyperparameters" not in page.text
    assert "learnt" not in page.text
