"""The loop: steps equal those of single environments, and its state can be saved and loaded."""

import json
from collections.abc import Iterator
from contextlib import closing
from itertools import islice, pairwise
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.vector import SyncVectorEnv
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from gridcade.envs.registry import make, time_limit
from gridcade.experience.loop import Experience
from gridcade.experience.step import Step
from gridcade.experience.vector import SyncEnvs, make_vector, reset
from gridcade.seeding import episode_seed

MAP = """time limit: none
map:
S.G
..S
"""
WORLDS = [
    "FrozenLake-v1",
    "FrozenLake-v1?max_episode_steps=7",
    "CartPole-v1",
    "CartPole-v1?max_episode_steps=15",
    "Pendulum-v1?max_episode_steps=9",
    "CliffWalking-v1",
    "FourRooms?time_limit=13",
    "SlipperyLake",
    "WindyGrid?observation=coordinates&time_limit=20",
    "RiverSwim",
    "RiverSwim?observation=one_hot",
    "open world",
]


@pytest.fixture(scope="module")
def open_world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a map with terminal states and no time limit, whose state can be saved."""
    file = tmp_path_factory.mktemp("worlds") / "open.txt"
    file.write_text(MAP)
    return file


def name_of(world: str, open_world: Path) -> str:
    return str(open_world) if world == "open world" else world


def vector(name: str, count: int) -> SyncVectorEnv[Any, Any]:
    envs = make_vector(name, count)
    assert isinstance(envs, SyncVectorEnv)
    return envs


def script(env: gym.Env[Any, Any], steps: int, count: int, seed: int) -> NDArray[Any]:
    """Return random actions.  [steps, count, …]."""
    env.action_space.seed(seed)
    return np.array([[env.action_space.sample() for _ in range(count)] for _ in range(steps)])


class Scripted:
    """An agent that takes the given actions, and records all calls, observations and steps."""

    def __init__(self, actions: NDArray[Any]):
        self.actions = iter(actions)
        self.calls: list[str] = []
        self.observations: list[Any] = []
        self.steps: list[Step] = []

    def act(self, observations: Any, masks: Any = None) -> NDArray[Any]:
        del masks
        self.calls.append("act")
        self.observations.append(observations)
        return np.asarray(next(self.actions))

    def observe(self, step: Step) -> None:
        self.calls.append("observe")
        self.steps.append(step)

    def update(self) -> None:
        self.calls.append("update")


def run(experience: Experience, agent: Scripted, num_steps: int) -> list[Step]:
    steps = experience.steps(agent)
    return [next(steps) for _ in range(num_steps)]


def single_steps(
    name: str, seed: int, env: int, actions: NDArray[Any]
) -> Iterator[tuple[Any, ...]]:
    """Yield the parts of each step of a single environment, in the order of `parts`."""
    with closing(make(name)) as single:
        number = 0
        current = single.reset(seed=episode_seed(seed, "training", env, number))[0]
        for action in actions:
            observation = current
            following, reward, terminated, truncated, _ = single.step(action)
            current = following
            if terminated or truncated:
                number += 1
                current = single.reset(seed=episode_seed(seed, "training", env, number))[0]
            yield observation, action, float(reward), following, terminated, truncated, current


def parts(step: Step) -> list[Any]:
    arrays = (step.observations, step.actions, step.rewards, step.next_observations)
    return [*arrays, step.terminated, step.truncated, step.current]


def same(one: list[Step], other: list[Step]) -> bool:
    """Return whether all arrays are equal in every bit, with equal types."""
    left, right = ([np.asarray(part) for s in steps for part in parts(s)] for steps in (one, other))
    pairs = zip(left, right, strict=True)
    return all(x.dtype == y.dtype and x.tobytes() == y.tobytes() for x, y in pairs)


@pytest.mark.parametrize("world", WORLDS)
@pytest.mark.parametrize("count", [1, 3])
def test_agents_observe_the_steps_of_single_environments(
    world: str, count: int, open_world: Path
) -> None:
    name, steps = name_of(world, open_world), 120
    with closing(make(name)) as single:
        actions = script(single, steps, count, seed=5)
    with closing(vector(name, count)) as envs:
        run(Experience(envs, seed=3), agent := Scripted(actions), steps)
    for env in range(count):
        expected = zip(*single_steps(name, 3, env, actions[:, env]), strict=True)
        for actual, desired in zip(
            zip(*map(parts, agent.steps), strict=True), expected, strict=True
        ):
            np.testing.assert_array_equal(
                np.array([part[env] for part in actual]), np.array(desired)
            )


def ends(name: str, count: int = 4, steps: int = 300) -> tuple[NDArray[Any], NDArray[Any]]:
    """Return where episodes were terminated, and where truncated.  Each [steps, count]."""
    with closing(make(name)) as single:
        actions = script(single, steps, count, seed=1)
    with closing(vector(name, count)) as envs:
        experienced = run(Experience(envs, seed=0), Scripted(actions), steps)
    return np.array([s.terminated for s in experienced]), np.array(
        [s.truncated for s in experienced]
    )


@pytest.mark.parametrize(
    "name", ["FrozenLake-v1?max_episode_steps=7", "CartPole-v1?max_episode_steps=15"]
)
def test_terminations_and_truncations_are_distinguished(name: str) -> None:
    """The test above needs both kinds of ends, and at different steps in different environments."""
    terminated, truncated = ends(name)
    assert (terminated & ~truncated).any()
    assert (truncated & ~terminated).any()
    ended = terminated | truncated
    assert (ended.any(axis=1) & ~ended.all(axis=1)).any()


def test_the_time_limit_of_a_grid_world_truncates_at_its_step() -> None:
    terminated, truncated = ends("FourRooms?time_limit=13", count=2, steps=39)
    assert not terminated.any()
    assert np.flatnonzero(truncated.all(axis=1)).tolist() == [12, 25, 38]
    assert truncated.sum() == 6


@pytest.mark.parametrize("overlap", [False, True])
def test_overlap_determines_whether_update_comes_before_observe(overlap: bool) -> None:
    with closing(vector("FrozenLake-v1", 2)) as envs:
        agent = Scripted(np.zeros((40, 2), dtype=np.int64))
        steps = [*islice(Experience(envs, seed=0).steps(agent, overlap), 40)]
    order = ["act", "update", "observe"] if overlap else ["act", "observe", "update"]
    assert agent.calls == order * 40
    assert all(a is b for a, b in zip(steps, agent.steps, strict=True))
    assert all(
        observations is step.observations
        for observations, step in zip(agent.observations, steps, strict=True)
    )
    assert all(a.current is b.observations for a, b in pairwise(steps))


@pytest.mark.parametrize("world", WORLDS)
@settings(max_examples=20)
@given(
    before=st.integers(0, 45),
    elsewhere=st.integers(0, 20),
    count=st.integers(1, 3),
    seed=st.integers(0, 1000),
)
def test_a_restored_experience_continues_bit_for_bit(
    open_world: Path, world: str, before: int, elsewhere: int, count: int, seed: int
) -> None:
    name, after = name_of(world, open_world), 25
    with closing(vector(name, count)) as envs, closing(vector(name, count)) as others:
        actions = script(envs.envs[0], before + after, count, seed)
        experience, restored = Experience(envs, seed), Experience(others, seed)
        run(experience, Scripted(actions), before)
        state = experience.env_state()
        text = json.dumps(state)
        expected = run(experience, Scripted(actions[before:]), after)
        assert json.dumps(state) == text  # the saved state does not change

        agent = Scripted(np.concatenate([actions[:elsewhere], actions[before:]]))
        steps = restored.steps(agent)
        for _ in range(elsewhere):  # loading must not depend on the state before
            next(steps)
        restored.load_env_state(json.loads(text))
        assert json.dumps(restored.env_state()) == text
        assert same([next(steps) for _ in range(after)], expected)
        assert json.dumps(restored.env_state()) == json.dumps(experience.env_state())


def test_if_replayed_actions_end_the_running_episode_the_next_one_starts() -> None:
    """This can happen with another version of the environment's library."""
    with closing(vector("FourRooms", 2)) as envs:
        experience = Experience(envs, seed=0)
        run(experience, Scripted(np.ones((30, 2), dtype=np.int64)), 30)
    with closing(vector("FourRooms?time_limit=13", 2)) as others:
        elsewhere = Experience(others, seed=0)
        assert elsewhere.load_env_state(experience.env_state()).all()
        state = elsewhere.env_state()
        assert state["actions"] == [[], []]
        assert state["episodes"] == [1, 1]
        seeds = [episode_seed(0, "training", env, 1) for env in range(2)]
        assert (elsewhere.current == reset(others, seeds)).all()


class Unseeded(gym.Env[Any, Any]):
    """The second environment draws from a generator that its seed does not set."""

    observation_space = gym.spaces.Box(-1e9, 1e9, (1,), np.float64)
    action_space = gym.spaces.Discrete(2)
    rng = np.random.default_rng(0)

    def __init__(self, unseeded: bool):
        self.unseeded = unseeded

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[Any, dict[str, Any]]:
        super().reset(seed=seed, options=options)
        self.place = float(self.np_random.random())
        return np.array([self.place]), {}

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        self.place += self.rng.random() if self.unseeded else float(action)
        return np.array([self.place]), 0.0, False, False, {}


def test_if_replayed_actions_lead_to_another_observation_the_next_episode_starts() -> None:
    def vector() -> SyncEnvs:
        return SyncEnvs([Unseeded(False), Unseeded(True)])

    experience, restored = Experience(vector(), seed=4), Experience(vector(), seed=4)
    run(experience, Scripted(np.ones((9, 2), dtype=np.int64)), 9)
    state = json.loads(json.dumps(experience.env_state()))
    assert restored.load_env_state(state).tolist() == [False, True]
    assert restored.current[0] == experience.current[0]
    assert restored.env_state()["episodes"] == [0, 1]
    assert [len(past) for past in restored.env_state()["actions"]] == [9, 0]
    del state["observations"]  # as in checkpoints of earlier versions
    assert not Experience(vector(), seed=4).load_env_state(state).any()


def test_the_saved_state_of_an_endless_environment_does_not_grow() -> None:
    sizes = []
    for steps in (10, 2000):
        with closing(vector("RiverSwim", 2)) as envs:
            experience = Experience(envs, seed=0)
            run(experience, Scripted(np.ones((steps, 2), dtype=np.int64)), steps)
            sizes.append(len(json.dumps(experience.env_state())))
    assert abs(sizes[1] - sizes[0]) < 20


@settings(max_examples=25)
@given(
    seed=st.integers(0, 1 << 40),
    count=st.integers(1, 4),
    purpose=st.sampled_from(["training", "evaluation"]),
    script_seed=st.integers(0, 1 << 20),
)
def test_every_episode_has_its_own_seed_regardless_of_earlier_steps(
    seed: int, count: int, purpose: Any, script_seed: int
) -> None:
    with closing(vector("FrozenLake-v1?max_episode_steps=7", count)) as envs:
        numbers = [0] * count
        actions = script(envs.envs[0], 40, count, script_seed)
        steps = Experience(envs, seed, purpose).steps(Scripted(actions))
        for _ in range(40):
            step = next(steps)
            for env in np.flatnonzero(step.terminated | step.truncated):
                numbers[env] += 1
            seeds = [single.unwrapped.np_random_seed for single in envs.envs]
            assert seeds == [episode_seed(seed, purpose, i, n) for i, n in enumerate(numbers)]


def test_a_masked_reset_does_not_affect_other_environments() -> None:
    with closing(vector("CartPole-v1", 3)) as envs:
        first = reset(envs, [1, 2, 3])
        mask = np.array([False, True, False])
        second = reset(envs, [4, 5, 6], mask)
        assert (first[[0, 2]] == second[[0, 2]]).all()
        assert (second[1] == make("CartPole-v1").reset(seed=5)[0]).all()
        assert mask.tolist() == [False, True, False]


def test_only_grid_worlds_without_a_time_limit_save_their_state() -> None:
    has_state = {}
    for name in ("RiverSwim", "NearAndFar", "FourRooms", "FrozenLake-v1", "CliffWalking-v1"):
        with closing(vector(name, 1)) as envs:
            has_state[name] = bool(Experience(envs, seed=0).env_state()["states"])
            assert not (has_state[name] and time_limit(envs.envs[0]))
    assert [name for name, saved in has_state.items() if saved] == ["RiverSwim", "NearAndFar"]


@pytest.mark.parametrize("name", ["Pong", "Breakout?protocol=machado2018", "Pong?sticky=0.25"])
def test_several_atari_episodes_of_one_seed_are_restored(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The restored observation depends neither on the steps before nor on other episodes."""
    monkeypatch.setattr("gridcade.envs.atari.EPISODES_PER_SEED", 3)
    rng = np.random.default_rng(0)

    experience = Experience(envs := make_vector(name, 3), 5)
    original = envs.step_wait  # type: ignore[attr-defined]

    def step_wait() -> Any:
        """Terminate episodes at random, one step in ten."""
        observations, rewards, terminated, truncated, info = original()
        return observations, rewards, terminated | (rng.random(3) < 0.1), truncated, info

    monkeypatch.setattr(envs, "step_wait", step_wait)
    steps = experience.steps(Random(4))
    for _ in range(40):
        next(steps)
    assert max(experience.env_state()["episodes"]) > 3
    restored = Experience(make_vector(name, 3), 5)
    other_steps = restored.steps(Random(4))
    for _ in range(7):
        next(other_steps)
    restored.load_env_state(experience.env_state())
    np.testing.assert_array_equal(restored.current, experience.current)


class Random:
    """An agent that draws actions from its own random stream and does not learn."""

    def __init__(self, actions: int):
        self.actions, self.rng = actions, np.random.default_rng(1)

    def act(self, observations: Any, masks: Any = None) -> Any:
        del masks
        return self.rng.integers(self.actions, size=len(observations))

    def observe(self, step: Step) -> None:
        pass

    def update(self) -> None:
        pass
