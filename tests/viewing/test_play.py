"""A person at the keyboard: in a pseudo-terminal, and scripted."""

import os
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pexpect
import pytest
from screens import ScriptedScreen, visible

from gridcade.envs import registry
from gridcade.envs.action_names import action_names
from gridcade.errors import InputError
from gridcade.evaluation.evaluate import evaluate_policy
from gridcade.evaluation.policies import optimal_policy
from gridcade.evaluation.result import Evaluation
from gridcade.seeding import episode_seed
from gridcade.viewing import play
from gridcade.viewing.play import key_bindings

UP, DOWN, RIGHT = "\x1b[A", "\x1b[B", "\x1b[C"
CLIFF_PATH = ["up", *["right"] * 11, "down"]


def test_play_command_scores_a_game_by_arrow_keys() -> None:
    child: Any = pexpect.spawn(
        sys.executable,
        ["-m", "gridcade.cli.main", "play", "CliffWalk", "--episodes", "1"],
        env={**os.environ, "TERM": "xterm-256color", "COLORTERM": "truecolor"},
        dimensions=(30, 100),
        timeout=250,
        encoding="utf-8",
    )
    try:
        child.expect("You on CliffWalk")
        child.expect("step 0   return 0")
        child.expect_exact("press ↑ → ↓ ← (or w d s a) to move; q ends the game")
        child.send(UP)
        child.expect("step 1   return -1 ")
        child.send(11 * RIGHT + DOWN)
        child.expect("step 13   return -13   terminated")
        child.expect_exact("\x1b[?1049l")
        child.expect(pexpect.EOF)
        text = visible(child.before)
        child.close()
        assert child.exitstatus == 0
    finally:
        child.close(force=True)
    assert "episode 1: return -13 in 13 steps, terminated" in text
    assert re.search(r"you on CliffWalk: 1 episode, 13 steps, seed 0", text)
    assert re.search(r"\nreturn +-13\s", text)
    assert re.search(r"\nepisode length +13\s", text)


def play_scripted(
    screen: ScriptedScreen,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    episodes: int = 1,
    seed: int = 0,
) -> Evaluation:
    monkeypatch.setattr(play, "TerminalScreen", screen)
    return play.play(name, episodes, seed, 0.95)


def test_no_key_is_lost_and_none_is_carried_into_the_next_episode(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    screen = ScriptedScreen(
        [[*CLIFF_PATH, "left"], ["x", "up", "right"], ["w"], [], ["d"] * 11, ["s", "left"]]
    )
    result = play_scripted(screen, monkeypatch, "CliffWalk", episodes=2)
    assert (result.episodes, result.steps) == (2, 26)
    assert result.expected_return is not None
    assert result.expected_return.mean == -13
    assert all(len(lines) <= 24 for lines in screen.shown)


def test_human_who_quits_is_scored_by_the_episodes_that_ended(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    screen = ScriptedScreen([CLIFF_PATH, ["q"]])  # while the end is shown
    result = play_scripted(screen, monkeypatch, "CliffWalk", episodes=3)
    assert (result.episodes, result.steps) == (1, 13)
    assert any(note.startswith("only ") for note in result.notes)
    assert "any key: the next episode; q ends the game" in [lines[-1] for lines in screen.shown]
    assert capsys.readouterr().out == "episode 1: return -13 in 13 steps, terminated\n"


def test_human_who_quits_at_once_has_no_score(monkeypatch: pytest.MonkeyPatch) -> None:
    screen = ScriptedScreen([["up", "up", "q"]])
    with pytest.raises(InputError, match=r"no episode was finished .*return -2 in 2 steps"):
        play_scripted(screen, monkeypatch, "CliffWalk")
    legend = " ".join(screen.shown[0][-2].split())
    assert legend == "@ you C reward -99, leads to the start G goal S start"


def test_the_score_has_the_name_that_was_typed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "first.txt").write_text("SG\n")
    screen = ScriptedScreen([["right"]])
    assert play_scripted(screen, monkeypatch, "first.txt").env == "first.txt"


def test_digits_choose_actions_without_directions(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("pygame")
    screen = ScriptedScreen([list("221112")])
    result = play_scripted(screen, monkeypatch, "FrozenLake?is_slippery=false")
    assert screen.shown[0][-1] == "q ends the game; press 0 left, 1 down, 2 right, 3 up"
    assert screen.shown[-1][-1] == "any key: the score; q ends the game"
    assert (result.episodes, result.steps) == (1, 6)
    assert result.expected_return is not None
    assert result.expected_return.mean == 1


def test_continuing_task_is_scored_by_its_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    screen = ScriptedScreen([["a"] * 200])  # to the left, where a step pays 0.005
    result = play_scripted(screen, monkeypatch, "RiverSwim")
    assert "step 200 of 200" in screen.shown[-1][1]
    assert result.steps == 200
    assert result.average_reward is not None
    assert result.average_reward.mean == pytest.approx(0.005)


def test_continuing_task_that_is_left_has_no_score(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(InputError, match="you quit before step 200"):
        play_scripted(ScriptedScreen([["a"] * 199, ["q"]]), monkeypatch, "RiverSwim")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((0, 0, 0.95), "episodes is 0"),
        ((1, -1, 0.95), "seed is -1"),
        ((1, 0, 2), "confidence is 2"),
    ],
)
def test_wrong_arguments_are_errors_before_a_key_is_pressed(
    monkeypatch: pytest.MonkeyPatch, arguments: tuple[int, int, float], message: str
) -> None:
    monkeypatch.setattr(play, "TerminalScreen", ScriptedScreen())
    with pytest.raises(InputError, match=message):
        play.play("FourRooms", *arguments)


def test_resized_terminal_is_redrawn(monkeypatch: pytest.MonkeyPatch) -> None:
    screen = ScriptedScreen()

    def resize() -> Iterator[list[str]]:
        yield []
        screen.columns = 20
        yield []
        yield ["q"]

    screen.batches = resize()
    with pytest.raises(InputError, match="no episode was finished"):
        play_scripted(screen, monkeypatch, "FourRooms")
    widths = [max(len(visible(line)) for line in lines) for lines in screen.shown]
    assert widths[-1] <= 20 < widths[0]


def test_human_plays_the_same_episodes_as_every_policy(monkeypatch: pytest.MonkeyPatch) -> None:
    env = registry.make("Maze")
    policy = optimal_policy(env)
    names = dict(enumerate(("up", "right", "down", "left")))
    state, _ = env.reset()
    moves, done = [], False
    while not done:
        action = int(policy.predict(state)[0])
        moves.append(names[action])
        state, _, done, _, _ = env.step(action)
    result = play_scripted(ScriptedScreen([moves]), monkeypatch, "Maze", seed=3)
    expected = evaluate_policy(policy, "Maze", episodes=1, seed=3)
    assert result.expected_return == expected.expected_return
    assert (result.steps, result.seed) == (expected.steps, 3)
    assert result.exact is None
    assert result.policy == "you"


def test_seed_selects_the_start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "two.txt"
    file.write_text("map:\nS.G...S\n")
    env, starts = registry.make(str(file)), set()
    for seed in range(8):
        start, _ = env.reset(seed=episode_seed(seed, "evaluation", 0, 0))
        starts.add(start)
        path = ["right"] * 2 if start == 0 else ["left"] * 4
        result = play_scripted(ScriptedScreen([path]), monkeypatch, str(file), seed=seed)
        assert result.steps == len(path)
    assert len(starts) == 2


def test_keys_are_bound_to_the_actions_of_each_environment() -> None:
    keys, _ = key_bindings(registry.make("FourRooms"))
    assert [keys[name] for name in ("up", "right", "down", "left")] == [0, 1, 2, 3]
    assert [keys[name] for name in "wdsa"] == [0, 1, 2, 3]
    keys, keys_help = key_bindings(registry.make("RiverSwim"))
    assert keys == {"left": 0, "right": 1, "a": 0, "d": 1}
    assert keys_help == "press ← → (or a d) to move; q ends the game"
    keys, keys_help = key_bindings(registry.make("Acrobot"))
    assert keys == {str(a): a for a in range(3)}
    assert keys_help.startswith("press 0 to 2 ")
    keys, keys_help = key_bindings(registry.make("Taxi"))
    assert keys == {str(a): a for a in range(6)}
    taxi = "0 south, 1 north, 2 east, 3 west, 4 pick up, 5 drop off"
    assert keys_help == f"q ends the game; press {taxi}"
    pytest.importorskip("ale_py")
    _, keys_help = key_bindings(registry.make("Breakout"))
    assert keys_help == "q ends the game; press 0 noop, 1 fire, 2 right, 3 left"


@pytest.mark.parametrize(
    ("name", "state", "width"),
    [("FrozenLake?is_slippery=false", 9, 4), ("CliffWalking", 13, 12)],
)
def test_names_of_directions_are_those_of_the_moves(name: str, state: int, width: int) -> None:
    env = registry.make(name)
    moves = {"left": -1, "right": 1, "up": -width, "down": width}
    table: Any = env.unwrapped
    for action, direction in enumerate(action_names(env)):
        assert table.P[state][action][0][1] == state + moves[direction]


def test_actions_without_keys_are_errors() -> None:
    with pytest.raises(InputError, match="they must be discrete"):
        key_bindings(registry.make("Pendulum"))


def test_playing_needs_a_terminal() -> None:
    with pytest.raises(InputError, match="no terminal to play in"):
        play.play("FourRooms", 1, 0, 0.95)
