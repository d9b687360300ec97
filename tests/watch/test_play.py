"""A person at the keyboard: a scripted one, in a terminal of their own."""

import os
import re
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pexpect
import pytest

from gridcade.envs import registry
from gridcade.errors import InputError
from gridcade.evaluation.evaluate import evaluate_policy
from gridcade.evaluation.policies import optimal_policy
from gridcade.seeding import episode_seed
from gridcade.watch import play
from gridcade.watch.play import keys_of

UP, DOWN, RIGHT, LEFT = (f"\x1b[{letter}" for letter in "ABCD")
CLIFF = UP + 11 * RIGHT + DOWN


class Person:
    """A person in front of a terminal."""

    def __init__(self, *words: str):
        env = {**os.environ, "TERM": "xterm-256color", "COLORTERM": "truecolor"}
        self.child: Any = pexpect.spawn(
            sys.executable,
            ["-m", "gridcade.cli.main", "play", *words],
            env=env,
            dimensions=(30, 100),
            timeout=60,
            encoding="utf-8",
        )

    def sees(self, text: str) -> None:
        self.child.expect(text)

    def types(self, keys: str) -> None:
        self.child.send(keys)

    def score(self) -> tuple[int, str]:
        """The exit code, and what is said after the game."""
        self.child.expect(re.escape("\x1b[?1049l"))
        self.child.expect(pexpect.EOF)
        self.child.close()
        text = re.sub(r"\x1b\[[?0-9;]*[A-Za-z]", "", self.child.before)
        return int(self.child.exitstatus), text


@pytest.fixture
def person() -> Iterator[Any]:
    started: list[Person] = []

    def start(*words: str) -> Person:
        started.append(Person(*words))
        return started[-1]

    yield start
    for one in started:
        one.child.close(force=True)


def test_a_game_by_arrow_keys_is_scored(person: Any) -> None:
    someone = person("CliffWalk", "--episodes", "1")
    someone.sees("You on CliffWalk")
    someone.sees("step 0   return 0")
    someone.sees("arrow keys move, q ends the game")
    for number, key in enumerate([UP, *[RIGHT] * 11, DOWN], 1):
        someone.types(key)
        someone.sees(f"step {number}   return -{number} ")
    someone.sees("ended")
    code, text = someone.score()
    assert code == 0
    assert re.search(r"you on \S*CliffWalk\S*: 1 episodes, 13 steps, seed 0", text)
    assert re.search(r"\nreturn +-13 ", text)
    assert re.search(r"\nepisode length +13 ", text)


def test_who_leaves_early_is_scored_by_what_was_finished(person: Any) -> None:
    someone = person("CliffWalk")
    someone.sees("step 0 ")
    someone.types("ZX" + CLIFF)  # typed ahead; what is no move is none
    someone.sees("return -13   ended")
    someone.types("q")  # while the end is in sight
    code, text = someone.score()
    assert code == 0
    assert "1 episodes, 13 steps" in text
    assert "only 1 of 3 episodes were finished" in text


def test_who_leaves_at_once_has_no_score(person: Any) -> None:
    someone = person("FourRooms")
    someone.sees("step 0 ")
    someone.types("q")
    code, text = someone.score()
    assert code == 2
    assert text.strip() == "gridcade: no episode was finished; nothing can be evaluated"


def test_digits_choose_where_there_are_no_directions(person: Any) -> None:
    pytest.importorskip("pygame")
    someone = person("FrozenLake?is_slippery=false", "--episodes", "1")
    someone.sees("0 to 3 choose the action, q ends the game")
    someone.types("221112")
    someone.sees("step 6   return 1 ")
    code, text = someone.score()
    assert code == 0
    assert re.search(r"\nreturn +1 ", text)
    assert "1 episodes, 6 steps" in text


def test_a_game_without_end_is_scored_by_its_steps(person: Any) -> None:
    someone = person("RiverSwim")
    someone.sees("step 0 of 200 ")
    someone.types("a" * 200)  # to the left, where 0.005 a step is paid
    someone.sees("step 200 of 200")
    code, text = someone.score()
    assert code == 0
    assert re.search(r"\naverage reward +0.005 ", text)
    assert "200 steps" in text


def test_ctrl_c_gives_the_terminal_back(person: Any) -> None:
    someone = person("FourRooms")
    someone.sees("step 0 ")
    someone.child.sendintr()
    code, text = someone.score()
    assert code == 130
    assert text.strip() == "gridcade: interrupted"


class Scripted:
    """A terminal whose keys come from a script."""

    def __init__(self, batches: Iterable[list[str]]):
        self.batches = iter(batches)
        self.shown: list[list[str]] = []
        self.columns = 80

    def __call__(self, keys: bool = False) -> "Scripted":
        assert keys
        return self

    def __enter__(self) -> "Scripted":
        return self

    def __exit__(self, *error: object) -> None:
        pass

    def size(self) -> tuple[int, int]:
        return self.columns, 24

    def show(self, lines: list[str]) -> None:
        self.shown.append(lines)

    def keys(self, timeout: float = 0.0) -> list[str]:
        assert timeout > 0
        return next(self.batches)


def test_no_key_is_lost_and_none_is_carried_into_the_next_episode(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    way = ["up", *["right"] * 11, "down"]
    screen = Scripted(
        [[*way, "left"], ["x", "up", "right"], ["w"], [], ["d"] * 11, ["s", "left"], []]
    )
    monkeypatch.setattr(play, "TerminalScreen", screen)
    result = play.play("CliffWalk", 2, 0, 0.95)
    assert (result.episodes, result.steps) == (2, 26)
    assert result.expected_return is not None
    assert result.expected_return.mean == -13
    assert all(len(lines) <= 24 for lines in screen.shown)


def test_a_game_without_end_that_is_left_has_no_score(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(play, "TerminalScreen", Scripted([["a"] * 199, ["q"]]))
    with pytest.raises(InputError, match="200 steps are scored: you left before"):
        play.play("RiverSwim", 1, 0, 0.95)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((0, 0, 0.95), "episodes is 0"),
        ((1, -1, 0.95), "seed is -1"),
        ((1, 0, 2), "confidence is 2"),
    ],
)
def test_wrong_arguments_are_told_before_a_key_is_asked_for(
    monkeypatch: pytest.MonkeyPatch, arguments: tuple[int, int, float], message: str
) -> None:
    monkeypatch.setattr(play, "TerminalScreen", Scripted([]))
    with pytest.raises(InputError, match=message):
        play.play("FourRooms", *arguments)


def test_a_terminal_that_changes_its_size_is_drawn_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    screen = Scripted([])

    def resize() -> Iterator[list[str]]:
        yield []
        screen.columns = 20
        yield []
        yield ["q"]

    screen.batches = resize()
    monkeypatch.setattr(play, "TerminalScreen", screen)
    with pytest.raises(InputError, match="no episode was finished"):
        play.play("FourRooms", 1, 0, 0.95)
    widths = [max(len(re.sub(r"\x1b\[[0-9;]*m", "", x)) for x in shown) for shown in screen.shown]
    assert widths[-1] <= 20 < widths[0]


def test_a_person_meets_the_episodes_of_every_policy(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who does what the optimal policy does, on the same seed, has the same score."""
    env = registry.make("Maze")
    policy = optimal_policy(env)
    names = dict(enumerate(("up", "right", "down", "left")))
    state, _ = env.reset()
    moves, over = [], False
    while not over:
        action = int(policy.predict(state)[0])
        moves.append(names[action])
        state, _, over, _, _ = env.step(action)
    screen = Scripted([moves, []])
    monkeypatch.setattr(play, "TerminalScreen", screen)
    score = play.play("Maze", 1, 3, 0.95)
    wanted = evaluate_policy(policy, "Maze", episodes=1, seed=3)
    assert score.expected_return == wanted.expected_return
    assert (score.steps, score.seed) == (wanted.steps, 3)
    assert score.exact is None
    assert score.policy == "you"


def test_a_person_begins_where_every_policy_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of two starts the episode's seed chooses one, and the shortest way from there is known."""
    file = tmp_path / "two.txt"
    file.write_text("map:\nS.G...S\n")
    env, starts = registry.make(str(file)), set()
    for seed in range(8):
        start, _ = env.reset(seed=episode_seed(seed, "evaluation", 0, 0))
        starts.add(start)
        way = ["right"] * 2 if start == 0 else ["left"] * 4
        monkeypatch.setattr(play, "TerminalScreen", Scripted([way, []]))
        assert play.play(str(file), 1, seed, 0.95).steps == len(way)
    assert len(starts) == 2


def test_keys_stand_for_the_actions_of_a_world() -> None:
    keys, _ = keys_of(registry.make("FourRooms"))
    assert [keys[name] for name in ("up", "right", "down", "left")] == [0, 1, 2, 3]
    assert [keys[name] for name in "wdsa"] == [0, 1, 2, 3]
    keys, _ = keys_of(registry.make("RiverSwim"))
    assert keys == {"left": 0, "right": 1, "a": 0, "d": 1}
    keys, help_ = keys_of(registry.make("Taxi"))
    assert keys == {str(a): a for a in range(6)}
    assert help_.startswith("0 to 5 ")


def test_what_no_key_stands_for_is_told() -> None:
    with pytest.raises(InputError, match="discrete"):
        keys_of(registry.make("Pendulum"))


def test_playing_takes_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "isatty", lambda _: False)
    with pytest.raises(InputError, match="no terminal to play in"):
        play.play("FourRooms", 1, 0, 0.95)
