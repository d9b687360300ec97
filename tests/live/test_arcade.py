"""The Arcade page's session: playing games, going back in them, and refusing bad requests."""

import multiprocessing
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import islice
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import gymnasium as gym
import msgspec
import numpy as np
import pytest
from gymnasium.envs.registration import EnvSpec

from gridcade import api
from gridcade.agents.base import StateValues
from gridcade.errors import InputError
from gridcade.live.arcade.arcade import Arcade, keys_of
from gridcade.live.arcade.game import Moment
from gridcade.live.arcade.messages import Open
from gridcade.live.arcade.picture import unpack
from gridcade.live.arcade.policy_list import PolicyList
from gridcade.live.arcade.process import ArcadeProcess
from gridcade.live.messages import RECEIVED
from gridcade.recording.frames import make_rgb_env, play_frames

NO_RUNS = PolicyList(Path("does-not-exist"))
Header = dict[str, Any]


def arcade(policy: str = "random", env: str = "CartPole-v1", **fields: Any) -> Arcade:
    return Arcade(Open(policy=policy, env=env, **fields), NO_RUNS)


def look(session: Arcade) -> tuple[Any, ...]:
    """Return everything that the page shows of the present moment."""
    game = session.game
    screen = session.console.screens()[-1].tobytes()
    per_action = game.moment.choice.per_action
    values = () if per_action is None else tuple(per_action.tolist())
    moment = game.moment
    return (
        screen,
        np.asarray(game.observation).tobytes(),
        values,
        (moment.choice.action, moment.reward, moment.score, moment.lives, moment.end),
    )


def play(session: Arcade, steps: int) -> list[tuple[Any, ...]]:
    """Play up to a number of steps; return what the page shows, from the present moment on."""
    seen = [look(session)]
    while len(seen) <= steps and not session.game.moment.end:
        session.game.advance()
        seen.append(look(session))
    return seen


def played(session: Arcade) -> list[Moment]:
    """Play a whole game, and return its moments."""
    play(session, session.console.time_limit)
    return session.game.line.moments


GAMES = [
    ("breakout", ""),
    ("breakout-sticky", "Breakout?protocol=machado2018"),
    ("random", "CartPole-v1"),
    ("optimal", "FourRooms"),
]


@pytest.mark.parametrize(("policy", "env"), GAMES)
def test_every_step_can_be_shown_again(policy: str, env: str) -> None:
    """Screens, observations and values are equal, bit for bit."""
    session = arcade(policy, env, seed=4)
    seen = play(session, 150)
    last = len(seen) - 1
    for step in (0, last, last // 2, last // 2 - 1, last // 2 + 1, 1, min(60, last), min(61, last)):
        session.game.seek(step)
        assert session.game.step == step
        assert look(session) == seen[step]
    session.game.seek(last // 2)
    assert play(session, last - last // 2) == seen[last // 2 :]


@pytest.mark.parametrize(("policy", "env"), GAMES)
def test_a_game_departs_from_any_step_and_comes_back(policy: str, env: str) -> None:
    """After going back, another action has the same consequences as without going back."""
    straight, scrubbed = (arcade(policy, env, seed=4) for _ in range(2))
    seen = play(scrubbed, 100)
    step = min(70, len(seen) - 3)
    play(straight, step)
    scrubbed.game.seek(step)
    own = straight.game.moment.choice.action
    straight.game.advance(1 - min(own, 1))
    scrubbed.game.advance(1 - min(own, 1))
    assert scrubbed.game.departed
    assert scrubbed.game.last_step == step + 1
    assert play(straight, 80) == play(scrubbed, 80)
    scrubbed.game.back()
    assert (scrubbed.game.step, scrubbed.game.departed) == (step, False)
    assert play(scrubbed, len(seen) - 1 - step) == seen[step:]


# With other protocols, `watch` shows the maximum of two frames.
@pytest.mark.parametrize(
    ("policy", "env"), [("breakout", "Breakout?protocol=mnih2013"), ("random", "FourRooms")]
)
def test_games_are_those_of_gridcade_watch(policy: str, env: str) -> None:
    session = arcade(policy, env, seed=3)
    frames = play_frames(session.actor, make_rgb_env(env), episodes=1, seed=3)
    for frame in islice(frames, 120):
        moment = session.game.moment
        assert frame.episode_return == moment.score
        assert frame.steps == session.game.step
        if session.console.palette is None:
            np.testing.assert_array_equal(frame.picture, session.console.screens()[-1])
        else:
            colors = session.console.palette[session.console.screens()[-1]]
            np.testing.assert_array_equal(frame.picture, colors)
        session.game.advance()


def test_a_persons_actions_are_taken_and_the_policy_goes_on_from_there() -> None:
    with process() as page:
        page.send("open", policy="random", env="CartPole-v1")
        page.header()
        page.send("speed", factor=16)
        page.send("take", person=True)
        page.send("play")
        page.send("hold", action=1)
        header = page.header(lambda h: h["end"])
        page.send("take", person=False)
        assert header["departed"]
        assert header["step"] < 20  # pushing in one direction cannot balance the pole
        page.send("back")
        header = page.header(lambda h: not h["departed"])
        assert not header["playing"]
        page.send("play")
        assert page.header(lambda h: h["end"])["step"] > 10


def test_without_a_key_the_game_waits_where_every_action_moves() -> None:
    with process() as page:
        page.send("open", policy="random", env="FourRooms")
        page.send("take", person=True)
        page.send("speed", factor=0.25)  # 2 steps per second, which a busy machine reaches too
        page.send("play")
        header = page.header(lambda h: h["person"] and h["playing"])
        page.quiet(0.3)
        page.send("hold", action=0)
        page.send("hold", action=None)  # a short key press takes one step
        assert page.header(lambda h: h["step"] > header["step"])["step"] == header["step"] + 1
        page.quiet(0.3)


def test_breakout_goes_on_without_a_key() -> None:
    assert arcade("random", "Breakout").idle_action == 0
    assert arcade("random", "FourRooms").idle_action is None


def test_keys_follow_from_the_names_of_actions() -> None:
    names = ("noop", "fire", "upright", "leftfire", "pick up", "south")
    assert keys_of(names) == [
        [],
        ["Space"],
        ["ArrowUp", "ArrowRight"],
        ["ArrowLeft", "Space"],
        ["Digit4"],
        ["ArrowDown"],
    ]


def test_the_game_keeps_its_speed_when_the_page_takes_no_pictures() -> None:
    with process() as page:
        page.send("open", policy="random", env="CartPole-v1", seed=1)
        page.header()
        page.acknowledges = False
        page.send("speed", factor=0.5)  # 25 steps per second
        page.send("play")
        page.header()
        began = time.monotonic()
        page.quiet(0.6)
        page.connection.send_bytes(RECEIVED)
        newest = page.header()["step"]
        assert newest == pytest.approx(25 * (time.monotonic() - began), abs=4)


def test_a_paused_game_costs_nothing() -> None:
    with process() as page:
        page.send("open", policy="random", env="CartPole-v1", step=7)
        assert page.header(lambda h: h["goal"] is None)["step"] == 7
        before = time.process_time()
        page.quiet(0.5)
        assert time.process_time() - before < 0.05
        page.send("step")
        assert page.header()["step"] == 8


def test_another_action_is_tried_while_the_game_stays_where_it_is() -> None:
    with process() as page:
        page.send("open", policy="breakout", step=70, epsilon=0)
        before = page.header(lambda h: h["goal"] is None)
        page.send("what_if", action=3, epsilon=0.1)
        assert page.message("progress")["running"] == 16
        page.send("what_if", action=2)  # cancels the first what-if
        result = page.message("what_if")
        assert (result["action"], result["step"], result["epsilon"]) == (2, 70, 0)
        assert len(result["returns"]) == len(result["scores"]) == 1
        assert result["expected_return"] is None
        assert result["predicted"] == before["per_action"][2]
        page.send("step")
        after = page.header(lambda h: h["step"] == 71)
        page.send("seek", step=70)
        again = page.header(lambda h: h["step"] == 70)
        different = {"screens", "taken", "last", "first", "values", "rewards", "lives_lost"}
        assert all(again[name] == before[name] for name in again.keys() - different)
        page.send("fork", action=2)
        page.send("pause")
        forked = page.header(lambda h: h["departed"] and not h["playing"])
        assert forked["step"] > 70
        page.send("back")
        assert page.header(lambda h: not h["departed"])["last"] == after["last"]


ERRORS = [
    ({"type": "play"}, "choose a policy first"),
    ({"type": "open", "policy": "brekout"}, "did you mean breakout?"),
    ({"type": "open", "policy": "../outside"}, "unknown policy"),
    ({"type": "open", "policy": "/etc/passwd"}, "unknown policy"),
    ({"type": "open", "policy": "linked"}, "unknown policy"),
    ({"type": "open", "policy": "model.zip", "env": "CartPole-v1"}, "unknown policy"),
    ({"type": "open", "policy": "random", "env": "Brakout"}, "did you mean Breakout?"),
    ({"type": "open", "policy": "random", "env": "/etc/passwd"}, "unknown environment"),
    ({"type": "open", "policy": "random", "env": "os:system"}, "unknown environment"),
    ({"type": "open", "policy": "random", "env": "GridWorld?world=map.txt"}, "unknown env"),
    ({"type": "open", "policy": "random", "env": "FrozenLake?desc=x"}, "takes no arguments"),
    ({"type": "open", "policy": "random", "env": "Maze?size=999"}, "shows up to 35"),
    ({"type": "open", "policy": "random", "env": "Breakout?protocol=mnih"}, "mnih2013"),
    ({"type": "open", "policy": "breakout", "env": "CartPole-v1"}, "does not fit"),
    ({"type": "open", "policy": "breakout", "checkpoint": 3}, "has no checkpoints"),
    ({"type": "open", "policy": "corridor", "checkpoint": 3}, "no checkpoint 3 in corridor"),
    ({"type": "open", "policy": "random", "env": "Pendulum", "epsilon": 0.5}, "cannot be numbered"),
    ({"type": "speed", "factor": 3}, "choose a policy first"),
    ({"type": "seek", "step": -1}, "message not understood"),
    ({"type": "fly"}, "message not understood"),
]


def test_what_cannot_be_shown_is_refused_in_one_line(runs: Path) -> None:
    with process(PolicyList(runs)) as page:
        for message, expected in ERRORS:
            page.connection.send_bytes(msgspec.json.encode(message))
            answer = page.message("error")["message"]
            assert expected in answer, message
            assert "\n" not in answer
        page.send("open", policy="random", env="CartPole-v1")  # the process still runs
        page.header()
        for message, expected in (
            ({"type": "speed", "factor": 3}, "unknown speed"),
            ({"type": "fork", "action": 2}, "no action 2"),
            ({"type": "hold", "action": 9}, "no action 9"),
        ):
            page.connection.send_bytes(msgspec.json.encode(message))
            assert expected in page.message("error")["message"]


def test_the_checkpoints_of_a_run_play_the_same_game(runs: Path) -> None:
    policies = PolicyList(runs)
    listed = policies.read()["corridor"]
    assert listed.checkpoints()[-1] == 20_000
    first, last = listed.checkpoints()[0], listed.checkpoints()[-1]
    sessions = [
        Arcade(Open(policy="corridor", checkpoint=steps, seed=5), policies)
        for steps in (first, last, None)
    ]
    screens = [session.console.screens().tobytes() for session in sessions]
    assert len(set(screens)) == 1
    q = [look(session)[2] for session in sessions]
    assert q[1] == q[2] != q[0]


def test_an_actor_critic_shows_its_probabilities_and_its_value(runs: Path) -> None:
    pytest.importorskip("stable_baselines3")
    options = {"n_steps": 64, "batch_size": 64}
    ppo = runs / "ppo"
    api.train("sb3-ppo", "CartPole-v1", steps=64, hyperparameters=options, out=ppo)
    session = Arcade(Open(policy="ppo", sample=True), PolicyList(runs))
    choice, agent = session.game.moment.choice, session.actor.policy
    assert isinstance(agent, StateValues)
    assert choice.value == agent.state_values(session.game.observation[None])[0]
    assert choice.per_action is not None
    assert choice.per_action.sum() == pytest.approx(1)
    actions = {moment.choice.action for moment in played(session)}
    assert actions == {0, 1}


def test_models_of_stable_baselines3_need_trust(runs: Path) -> None:
    assert "model.zip" not in PolicyList(runs).read()
    assert "model.zip" in PolicyList(runs, trust=True).read()


# ---- a run, and a process on a thread of this one


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with a run, a link to a run outside of it, and a model."""
    outside = tmp_path_factory.mktemp("outside")
    folder = tmp_path_factory.mktemp("runs")
    api.train("q-learning", "FourRooms", steps=20_000, epoch=5_000, out=folder / "corridor")
    api.train("q-learning", "FourRooms", steps=1_000, out=outside / "run")
    (folder / "linked").symlink_to(outside / "run")
    (folder / "model.zip").touch()
    return folder


class Client:
    """The page's end of the pipe to an Arcade process."""

    def __init__(self, connection: Connection):
        self.connection = connection
        self.acknowledges = True

    def send(self, kind: str, **fields: Any) -> None:
        self.connection.send_bytes(msgspec.json.encode({"type": kind} | fields))

    def receive(self) -> Header:
        """Return the next message, or the header of the next picture."""
        assert self.connection.poll(30)
        message = self.connection.recv_bytes()
        if message.startswith(b"{"):
            table: Header = msgspec.json.decode(message)
            return table
        if self.acknowledges:
            self.connection.send_bytes(RECEIVED)
        return {"type": "picture"} | unpack(message)[0]

    def message(self, kind: str) -> Header:
        """Return the next message of a kind, and drop other messages."""
        while (message := self.receive())["type"] != kind:
            pass
        return message

    def header(self, fits: Callable[[Header], Any] = lambda _: True) -> Header:
        """Return the header of the next picture that fits, and drop other messages."""
        while True:
            message = self.receive()
            assert message["type"] != "error", message
            if message["type"] == "picture" and fits(message):
                return message

    def quiet(self, seconds: float) -> None:
        """Check that no message arrives for a time."""
        assert not self.connection.poll(seconds), self.receive()


@contextmanager
def process(policies: PolicyList = NO_RUNS) -> Iterator[Client]:
    ours, theirs = multiprocessing.Pipe()
    thread = threading.Thread(target=ArcadeProcess(theirs, policies).run, daemon=True)
    thread.start()
    try:
        yield Client(ours)
    finally:
        ours.close()
        thread.join(10)
        assert not thread.is_alive()


class Doors(gym.Env[Any, Any]):
    """An environment that pays 1 for the action (1, 5)."""

    metadata = {"render_modes": ["rgb_array"]}  # noqa: RUF012 - as in Gymnasium
    observation_space = gym.spaces.Discrete(2)
    action_space = gym.spaces.MultiDiscrete([2, 2], start=[0, 4])
    render_mode = "rgb_array"

    def __init__(self, render_mode: str | None = None):
        self.render_mode = render_mode or "rgb_array"

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[int, dict[str, Any]]:
        super().reset(seed=seed, options=options)
        return 0, {}

    def step(self, action: Any) -> tuple[int, float, bool, bool, dict[str, Any]]:
        assert self.action_space.contains(action)
        return 0, float(action[0] == 1 and action[1] == 5), False, False, {}

    def render(self) -> Any:
        return np.zeros((8, 8, 3), np.uint8)


def test_actions_of_several_parts_are_played_by_their_numbers(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    entry_point: Any = Doors
    monkeypatch.setitem(gym.registry, "Doors-v0", EnvSpec("Doors-v0", entry_point))
    played = arcade("random", "Doors-v0")
    for action in range(4):
        played.check_action(action)
    with pytest.raises(InputError, match="there is no action 4; choose one from 0 to 3"):
        played.check_action(4)
    for action, reward in ((0, 0), (1, 0), (2, 0), (3, 1)):
        before = played.game.moment.score
        played.game.advance(action)
        assert played.game.moment.score - before == reward
    played.game.advance()  # the policy's own action
