"""The pages of the site that are generated from the code."""

import re
import sys
from pathlib import Path

import pytest

from gridcade import agents
from gridcade.agents import SB3
from gridcade.agents.schedules import Schedule
from gridcade.envs import registry

DOCS = Path(__file__).parents[2] / "docs"
sys.path.insert(0, str(DOCS / "extensions"))

from agent_pages import agent_pages, default_text  # noqa: E402
from world_pages import world_page, world_pages  # noqa: E402

OWN = [name for name in agents.AGENTS if not name.startswith(SB3)]


@pytest.mark.parametrize("name", OWN)
def test_every_hyperparameter_has_a_meaning(name: str) -> None:
    page = agent_pages()[name]
    rows = re.findall(r"^\| `(\w+)` \| `(.+)` \| (.*) \|$", page, re.M)
    assert [row[0] for row in rows] == list(agents.find(name).config.__dataclass_fields__)
    assert all(len(meaning) > 10 for _, _, meaning in rows)
    assert all(f"### {preset}\n" in page for preset in agents.find(name).presets())


@pytest.mark.parametrize("name", OWN)
def test_an_agent_page_says_more_than_its_first_sentence(name: str) -> None:
    _, block = agent_pages()[name].split("```text\n")[:2]
    text = block.partition("\n```")[0]
    assert "\n" in text
    if agents.find(name).is_tabular:
        assert "+= alpha" in text


def test_a_schedule_is_a_number_where_it_is_constant_and_has_its_zeros_elsewhere() -> None:
    assert default_text(Schedule(0.1)) == default_text(Schedule.constant(0.1)) == "0.1"
    assert default_text(Schedule(1.0, 0.0, 9)) == "initial = 1, final = 0, steps = 9"


@pytest.mark.slow
def test_every_world_has_a_page() -> None:
    pages = world_pages()
    assert set(pages) == {"index", *(spec.name for spec in registry.our_worlds())}
    assert all("## Exact answers" in page for name, page in pages.items() if name != "index")


def test_a_world_has_its_optimum_and_pictures() -> None:
    cliff = world_page("CliffWalk")
    assert "| return | -13 |" in cliff
    assert "## Exact answers, without the time limit\n" in cliff
    assert cliff.count("data:image/png;base64,") == 3  # the world, and two optimal policies
    near = world_page("NearAndFar")
    assert "| average reward per step | 0.275 |" in near
    assert "## Exact answers\n" in near


def test_every_notebook_has_two_exercises_and_their_solutions() -> None:
    solutions = (DOCS / "notebooks" / "solutions.md").read_text(encoding="utf-8")
    listed = re.findall(r"^[\w-]+$", (DOCS / "notebooks" / "index.md").read_text("utf-8"), re.M)
    notebooks = {file.stem for file in (DOCS / "notebooks").glob("*.md")} - {"index"}
    assert set(listed) == notebooks
    for name in sorted(notebooks - {"solutions"}):
        text = (DOCS / "notebooks" / f"{name}.md").read_text(encoding="utf-8")
        title = re.findall("^# (.+)$", text, re.M)[0]
        exercises = text.partition("## Exercises\n")[2]
        assert re.findall(r"^(\d)\. ", exercises, re.M) == ["1", "2"], name
        solved = solutions.partition(f"## {title}\n")[2].partition("\n## ")[0]
        assert re.findall(r"^\*\*(\d)\.\*\* ", solved, re.M) == ["1", "2"], name
