"""The page: it is well formed, loads nothing, and shows all results."""

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
from comparisons import Runs, made_up, real

from gridcade import report
from gridcade.errors import InputError
from gridcade.formatting import format_number
from gridcade.report import drawing, figures
from gridcade.report.analysis import analyze, improvements
from gridcade.report.clips import EpisodeClip
from gridcade.study.comparison import Comparison, Failure, RunResult
from gridcade.study.contender import ContenderSpec
from gridcade.study.study import Study, read_study

VOID = {"meta", "img", "link", "br", "hr", "input", "source"}
LOADING = {"src", "href", "xlink:href", "poster", "data", "srcset", "action", "background"}
SCORES = [0.61234, 0.71234, 0.81234]
STRANGE = ["<b>&\"'", "_under $x$ 学习"]


class Page(HTMLParser):
    """The tags and texts of a page. Parsing asserts that tags are closed in order."""

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


@pytest.fixture(autouse=True, scope="module")
def low_resolution() -> Iterator[None]:
    """Draw PNG files at a low resolution, which is faster. No test looks at their pixels."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(drawing, "DPI", 40)
        yield


@pytest.fixture(scope="module")
def studied(tmp_path_factory: pytest.TempPathFactory) -> Comparison:
    return real(tmp_path_factory.mktemp("runs"))


@pytest.fixture(scope="module")
def written(studied: Comparison, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return report.write_page(studied, tmp_path_factory.mktemp("out"))


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


def test_the_page_shows_the_numbers_of_every_run(studied: Comparison, page: Page) -> None:
    for label, runs in studied.results["FourRooms"].items():
        for run in runs:
            evaluation = run.evaluation
            means = [evaluation[name]["mean"] for name in ("expected_return", "average_reward")]
            cells = map(format_number, [*means, evaluation["exact"]["expected_return"]])
            seed = "-" if run.seed is None else str(run.seed)
            assert " ".join([label, seed, *cells]) in page.text


def test_the_page_shows_the_verdicts(page: Page) -> None:
    assert "optimal is better than random on FourRooms: difference" in page.text
    assert "optimal reaches the optimum" not in page.text  # of course it does
    assert "random reaches" not in page.text


def test_the_page_contains_the_study_file(studied: Comparison, page: Page) -> None:
    code = page.texts.index("study.toml")
    text = next(t for t in page.texts[code + 1 :] if "contenders" in t)
    file = Path(studied.results["FourRooms"]["q-learning"][0].run or "").parent / "study.toml"
    file.write_text(text)
    assert read_study(file).as_dict() == studied.study.as_dict()
    assert "gridcade compare study.toml" in page.text


def test_every_contender_has_a_clip(page: Page) -> None:
    clips = [attrs for tag, attrs in page.tags if tag in ("video", "img")]
    assert len(clips) == 3
    assert all((c["src"] or "").startswith(("data:video/mp4", "data:image/webp")) for c in clips)


def test_figures_are_written_beside_the_page(written: Path) -> None:
    folder = written.parent / "figures"
    names = {file.stem for file in folder.iterdir()}
    assert {"01-fourrooms-scores", "01-fourrooms-curves-steps"} < names
    # Training took four seconds, too few for curves.
    assert "01-fourrooms-curves-seconds" not in names
    assert "01-fourrooms-training-steps" in names
    for name in names:
        assert (folder / f"{name}.svg").read_text(encoding="utf-8").startswith("<?xml")
        assert (folder / f"{name}.png").read_bytes().startswith(b"\x89PNG")


def test_a_second_report_writes_the_same_figures_and_removes_outdated_ones(
    studied: Comparison, written: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gridcade.report.page.record_clip", lambda *_: EpisodeClip("No video."))
    folder = tmp_path / "figures"
    folder.mkdir()
    own, outdated = folder / "my-scores.svg", folder / "09-larger-scores.svg"
    own.touch()
    outdated.touch()
    report.write_page(studied, tmp_path)
    expected = {f.name: f.read_bytes() for f in (written.parent / "figures").iterdir()}
    assert {f.name: f.read_bytes() for f in folder.iterdir()} == expected | {own.name: b""}


@pytest.mark.parametrize(
    ("a", "significant", "note"),
    [
        ([1.0] * 6, True, "; where all runs agree, the limits are those of a sign test"),
        ([0.5, 1.0, 1.1, 1.2, 1.3, 1.4], False, "; with 6 seeds, fewer than 10"),
        ([0.5, 1.0, 1.1, 1.2, 1.3, 1.4] * 2, True, ""),
    ],
)
def test_an_improvement_needs_enough_seeds_to_be_significant(
    a: list[float], significant: bool, note: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(figures, "draw_figure", lambda *arguments: arguments)
    b = [0.5 + 0.01 * seed for seed in range(len(a))]
    analyses = analyze(made_up({"E": {"A": a, "B": b}}))
    arguments: Any = figures.improvement_figure(improvements(analyses, 0.95), 0.95)
    *_, caption, _, plot = arguments
    ((_, probability, filled),) = plot.keywords["rows"]
    assert not probability.low <= 0.5 <= probability.high
    assert filled is significant
    assert note in caption
    assert caption.endswith("there are enough seeds.") is (note == "")


def edge_cases() -> Iterator[Any]:
    few: dict[str, Runs] = {"A": SCORES, "B": [0.5, 0.6, 0.4]}
    yield pytest.param(made_up({"E": {"A": [0.5], "B": [0.6]}}), id="one seed")
    yield pytest.param(made_up({"E": {"A": [0.5, 0.5], "B": [0.5, 0.5]}}), id="equal scores")
    yield pytest.param(made_up({"E": {"A": SCORES}}, metrics=(0.5,)), id="one contender, one epoch")
    yield pytest.param(made_up({"E": few}, continuing=True, metrics=()), id="continuing, no epoch")
    yield pytest.param(
        made_up({"E": few}, criterion="average-reward", metrics=(None, None, 0.5)),
        id="average reward, few evaluations",
    )
    yield pytest.param(
        made_up({"E": few | {"C": 0.3, "D": 0.9}}, metrics=(None, None)),
        id="fixed policies, no evaluation",
    )
    strange: dict[str, Runs] = {STRANGE[0]: SCORES, STRANGE[1]: [0.1, 0.2]}
    yield pytest.param(made_up({"<i>&?a=1": strange, "?": strange}), id="names")
    failures = [Failure("B", "E", 0, "<no> luck")]
    yield pytest.param(made_up({"E": {"A": SCORES, "B": []}}, failures=failures), id="a failure")
    failures = [Failure("A", "E", None, "no luck")]
    yield pytest.param(made_up({"E": {"A": []}}, failures=failures), id="all failed")
    yield pytest.param(made_up({"E": {f"c{i}": SCORES for i in range(10)}}), id="ten contenders")
    yield pytest.param(made_up({"Breakout": few, "E": few}), id="Atari, and no scale")


@pytest.mark.filterwarnings("ignore:Glyph")
@pytest.mark.parametrize("comparison", list(edge_cases()))
def test_every_comparison_makes_a_page(comparison: Comparison, tmp_path: Path) -> None:
    page = Page(report.write_page(comparison, tmp_path))
    assert_loads_nothing(page)
    for contenders in comparison.results.values():
        for label, runs in contenders.items():
            assert " ".join(label.split()) in page.text
            for run in runs:
                assert format_number(run.evaluation["average_reward"]["mean"]) in page.text
    for failure in comparison.failures:
        assert failure.reason in page.text
    assert "nan" not in page.text.split()


@pytest.fixture
def undrawn(monkeypatch: pytest.MonkeyPatch) -> None:
    """Replace figures and clips by empty ones: for tests of texts and tables."""
    monkeypatch.setattr(
        figures,
        "draw_figure",
        lambda name, *_: drawing.Figure(name, "", "", "", "<svg></svg>", b""),
    )
    monkeypatch.setattr(
        "gridcade.report.page.record_clip", lambda *_: EpisodeClip("No video: not recorded.")
    )


@pytest.mark.usefixtures("undrawn")
def test_published_scores_are_shown_beside_ours(tmp_path: Path) -> None:
    def text(scores: dict[str, dict[str, Runs]]) -> str:
        return Page(report.write_page(made_up(scores), tmp_path)).text

    both: dict[str, dict[str, Runs]] = {
        "Breakout": {"A": [23.5]},
        "Breakout?protocol=2013": {"A": [45.5]},
        "Pong": {"A": [7.5]},
    }
    page = text(both)
    assert "HNeat pixel" in page
    assert "28,010" in page  # a human on Seaquest
    assert "Breakout 1.7 31.8 401.2 ± 26.9 23.5" in page
    assert "Breakout?protocol=2013 1.7 31.8 401.2 ± 26.9 45.5" in page
    assert "A on Breakout and Pong - 23.5 - 7.5 " in page
    assert "A on Breakout?protocol=2013 - 45.5 - - " in page
    page = text({"Alien": {"A": SCORES}})  # which has no scores of 2013
    assert "3,069 ± 1,093" in page
    assert "HNeat" not in page
    assert "DQN 2015" not in text({"E": {"A": SCORES}})


@pytest.mark.usefixtures("undrawn")
def test_hyperparameters_that_differ_are_marked(tmp_path: Path) -> None:
    comparison = made_up({"E": {"A": SCORES, "B": SCORES}})

    def configured(runs: tuple[RunResult, ...], **values: Any) -> tuple[RunResult, ...]:
        config = {"agent": "q-learning", "seed": 0, "preset": "watkins", "hyperparameters": values}
        return tuple(replace(run, config=config) for run in runs)

    results = {
        "A": configured(comparison.results["E"]["A"], discount=0.99, step={"initial": 0.5}),
        "B": configured(comparison.results["E"]["B"], discount=0.9, step={"initial": 0.5}, n=1),
    }
    page = Page(report.write_page(replace(comparison, results={"E": results}), tmp_path))
    assert [attrs.get("class") for tag, attrs in page.tags if tag == "tr"].count("differs") == 1
    assert "discount ≠ (differs) 0.99 0.9" in page.text
    assert "step.initial 0.5 0.5" in page.text
    assert "n - 1" in page.text


@pytest.mark.usefixtures("undrawn")
def test_hyperparameters_of_stable_baselines3_have_our_names(tmp_path: Path) -> None:
    comparison = made_up({"E": {"A": SCORES, "B": SCORES, "C": SCORES}})
    configs: dict[str, dict[str, Any]] = {
        "A": {"agent": "dqn", "hyperparameters": {"discount": 0.99, "n_step": 3, "hidden": [64]}},
        "B": {
            "agent": "sb3-dqn",
            "hyperparameters": {"gamma": 0.9, "n_steps": 3, "policy_kwargs": {"net_arch": [64]}},
        },
        "C": {"agent": "sb3-ppo", "hyperparameters": {"gamma": 0.99, "n_steps": 128, "tau": 0.5}},
    }
    results = {
        label: tuple(replace(run, config=configs[label]) for run in runs)
        for label, runs in comparison.results["E"].items()
    }
    page = Page(report.write_page(replace(comparison, results={"E": results}), tmp_path))
    assert "discount ≠ (differs) 0.99 0.9 0.99" in page.text
    assert "n_step 3 3 -" in page.text
    assert "hidden 64 64 -" in page.text
    assert "rollout - - 128" in page.text
    assert "tau - - 0.5" in page.text


@pytest.mark.usefixtures("undrawn")
@pytest.mark.parametrize(
    ("provenance", "action"),
    [({"started_over": 1000}, "started over"), ({}, "continued from the last checkpoint")],
)
def test_the_page_names_interrupted_runs(
    provenance: dict[str, int], action: str, tmp_path: Path
) -> None:
    comparison = made_up({"E": {"A": SCORES}})
    first, second, third = comparison.results["E"]["A"]
    session = {"started": "2025-01-31T10:00:00+00:00", "commit": "c" * 40, "dirty": True}
    other = session | {"started": "2025-02-02T10:00:00+00:00"} | provenance
    runs = (
        replace(first, sessions=(session,)),
        replace(second, sessions=(session, other)),
        replace(third, sessions=(session, other)),
    )
    page = Page(report.write_page(replace(comparison, results={"E": {"A": runs}}), tmp_path))
    assert f"A on E, seeds 1 and 2: interrupted, then {action}." in page.text
    assert "2025-01-31 to 2025-02-02" in page.text
    assert "cccccccccccc (changed)" in page.text


@pytest.mark.usefixtures("undrawn")
def test_the_page_states_how_many_runs_ran_at_the_same_time(tmp_path: Path) -> None:
    comparison = made_up({"E": {"A": SCORES}})
    runs = tuple(
        replace(run, sessions=({"started": "2025-01-31T10:00:00+00:00"},))
        for run in comparison.results["E"]["A"]
    )
    sessions = ({"backend": "ray", "jobs": None}, {"backend": "loky", "jobs": 2})
    comparison = replace(comparison, results={"E": {"A": runs}}, sessions=sessions)
    page = Page(report.write_page(comparison, tmp_path))
    assert "at the same time one run per worker (ray), 2 runs (loky)" in page.text
    assert "--jobs" not in page.text  # results depend on it only with a time budget
    timed = replace(comparison, study=replace(comparison.study, minutes=1.0))
    assert "gridcade compare study.toml --jobs 2" in Page(report.write_page(timed, tmp_path)).text


@pytest.mark.usefixtures("undrawn")
def test_an_unwritable_folder_is_an_error(tmp_path: Path) -> None:
    file = tmp_path / "taken"
    file.touch()
    with pytest.raises(InputError, match="cannot write the report into"):
        report.write_page(made_up({"E": {"A": SCORES}}), file)


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
        [chromium, *options, written.as_uri()], capture_output=True, text=True, timeout=250
    )
    assert "optimal is better than random on FourRooms" in shown.stdout
    assert "CONSOLE" not in shown.stderr  # neither errors nor violations of the security policy


@pytest.mark.usefixtures("undrawn")
def test_a_study_without_training_has_no_hyperparameters(tmp_path: Path) -> None:
    study = Study((ContenderSpec("random"), ContenderSpec("optimal")), ("E",))
    comparison = made_up({"E": {"random": 0.1, "optimal": 0.2}})
    page = Page(report.write_page(replace(comparison, study=study), tmp_path))
    assert "Hyperparameters" not in page.text
    assert "trained" not in page.text
