"""The example of docs/environments.md does what the page says."""

import re
import shlex
from pathlib import Path

import pytest
from command_line import Gridcade, read_json

pytest_plugins = ["command_line_fixtures"]

PAGE = (Path(__file__).parents[2] / "docs" / "environments.md").read_text(encoding="utf-8")


@pytest.fixture
def example(folder: Path) -> Path:
    program = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)[0]
    (folder / "stairs.py").write_text(program)
    return folder


@pytest.mark.usefixtures("example")
def test_the_commands_of_the_page_work(gridcade: Gridcade) -> None:
    first = PAGE.partition("\n## ")[0]  # later sections define other environments
    lines = re.findall(r"^    gridcade (?!the|compare).*", first, re.MULTILINE)
    commands = [shlex.split(line, comments=True)[1:] for line in lines]
    assert [words[0] for words in commands] == ["check", "train", "evaluate", "solve"]
    printed = {}
    for words in commands:
        code, out, err = gridcade(*words)
        assert code == 0, err
        printed[words[0]] = out + err
    assert "nothing to change" in printed["check"]
    [note] = re.findall(r"\n    (the declared model agrees.*\n    action.*)\n", PAGE)
    assert " ".join(note.split()) in printed["train"]
    assert " ".join(note.split()) in printed["evaluate"]
    _, solution, _ = gridcade("solve", "stairs.py:Stairs")
    [stated] = re.findall(r"\n    (stairs.py:Stairs: the optimal .*)\n", PAGE)
    assert stated in solution


def test_errors_of_the_example_are_reported_as_on_the_page(
    example: Path, gridcade: Gridcade
) -> None:
    file = example / "stairs.py"
    program = file.read_text()
    for change, message in (
        (
            ("outcomes[drawn]", "outcomes[7]"),
            "failed at step 1: IndexError: list index out of range",
        ),
        (("-1.0, stair + 1", "float('nan'), stair + 1"), "paid nan at step"),
    ):
        file.write_text(program.replace(*change).replace("transition_model", "no_model"))
        code, _, err = gridcade("evaluate", "random", "--env", "stairs.py:Stairs")
        assert code == 2
        assert message in err
        assert re.search(r"\(stairs\.py:\d+, in step\)$", err.strip())
        assert err.count("\n") == 1


BAD = """
import random
import gymnasium as gym
import numpy as np

class Bad(gym.Env):
    metadata = {"render_modes": ["rgb_array"], "render_fps": 4}
    observation_space = gym.spaces.Box(0, 1, (2,), np.float32)
    action_space = gym.spaces.Discrete(2)

    def __init__(self, render_mode=None):
        self.render_mode = render_mode

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        return np.zeros(2, np.float32), {}

    def step(self, action):
        return np.array([0, 2 * random.random()], np.float32), 1.0, False, False, {}

    def render(self):
        return np.zeros((4, 4, 3))
"""


def test_a_check_finds_the_faults_of_an_environment(folder: Path, gridcade: Gridcade) -> None:
    (folder / "bad.py").write_text(BAD)
    code, out, _ = gridcade("check", "bad.py:Bad")
    assert code == 1
    for text in (
        "With the same seed and actions, the observation at step 1 was",
        "An observation is outside its space",
        "No episode ended within",
        "Render mode rgb_array: its type is float64, not uint8",
        "not monte-carlo, sarsa, q-learning, ",  # their reasons differ only in the agent's name
        "q-lambda: needs finitely many observations",
    ):
        assert text in " ".join(out.split())
    code, out, _ = gridcade("check", "bad.py:Bad", "--json")
    found = read_json(out)
    assert code == 1
    assert not found["ok"]
    assert found["agents"]["dqn"] == ""


LAZY = """
import gymnasium as gym

class Lazy(gym.Env):
    observation_space = gym.spaces.Discrete(10)
    action_space = gym.spaces.Discrete(2)
    place = 0

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        START
        return PLACE, {}

    def step(self, action):
        self.place = (self.place + 1) % 10
        return self.place, float(self.place == 0), self.place == 0, False, {}
"""


@pytest.mark.parametrize(
    ("start", "place", "difference"),
    [
        ("pass", "self.place", "the observation after the reset was 0, and 1"),
        ("pass", "0", "the observation at step 1 was 1, and 2"),
        ("self.place = 0", "0", ""),
    ],
)
def test_a_check_finds_what_reset_keeps_of_an_episode(
    folder: Path, gridcade: Gridcade, start: str, place: str, difference: str
) -> None:
    """Episodes that end have 10 steps, so only an abandoned episode leaves another state behind."""
    (folder / "lazy.py").write_text(LAZY.replace("START", start).replace("PLACE", place))
    code, out, _ = gridcade("check", "lazy.py:Lazy")
    assert code == (1 if difference else 0)
    found = " ".join(out.split())
    assert difference in found
    assert ("reset keeps something of the earlier episode" in found) == bool(difference)


def test_a_check_of_an_environment_that_fails_says_where(folder: Path, gridcade: Gridcade) -> None:
    old = BAD.replace("1.0, False, False, {}", "1.0, False, {}")
    (folder / "old.py").write_text(old)
    code, out, _ = gridcade("check", "old.py:Bad")
    assert code == 1
    assert "4 is the API of the old gym" in " ".join(out.split())
    assert "(old.py:18, in step)" in " ".join(out.split())
    assert gridcade("check", "FrozenLake").code == 0
    assert gridcade("check", "FrozenLak").code == 2


@pytest.mark.usefixtures("example")
def test_a_run_of_another_user_needs_trust(
    folder: Path, gridcade: Gridcade, monkeypatch: pytest.MonkeyPatch
) -> None:
    gridcade("train", "q-learning", "stairs.py:Stairs", "--steps", 1000)
    run = "runs/Stairs-q-learning-s0"
    assert gridcade("resume", run, "--steps", 2000).code == 0
    monkeypatch.setenv("XDG_DATA_HOME", str(folder / "another-user"))
    for words in (("evaluate", run), ("resume", run, "--steps", 3000), ("watch", run)):
        code, _, err = gridcade(*words)
        assert code == 2
        assert "would run the code of 'stairs.py:Stairs'" in err
    assert gridcade("evaluate", run, "--episodes", 2, "--env", "stairs.py:Stairs").code == 0
    assert gridcade("evaluate", run, "--episodes", 2, "--trust").code == 0
    assert gridcade("resume", run, "--steps", 3000, "--trust").code == 0
    assert gridcade("resume", run, "--steps", 4000).code == 0  # it is this user's run now


LONG = str(["S" + "F" * 15, *["F" * 16] * 14, "F" * 15 + "G"]).replace(" ", "")


def test_long_arguments_do_not_become_long_file_names(folder: Path, gridcade: Gridcade) -> None:
    env = f"FrozenLake?desc={LONG}"
    assert len(env) > 255
    code, _, err = gridcade("train", "q-learning", env, "--steps", 1000)
    assert code == 0, err
    [run] = (folder / "runs").iterdir()
    assert gridcade("evaluate", f"runs/{run.name}", "--episodes", 2).code == 0
    words = ("compare", "q-learning", "random", "--env", env, "--steps", 1000, "--seeds", 1)
    code, out, err = gridcade(*words, "--episodes", 5)
    assert code == 0, err
    assert "failed" not in out
