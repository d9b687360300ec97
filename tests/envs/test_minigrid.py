"""MiniGrid: observations equal MiniGrid's own, and the best return equals that of brute force."""

from copy import deepcopy
from typing import Any

import gymnasium as gym
import numpy as np
import pytest

pytest.importorskip("minigrid")

from minigrid.minigrid_env import MiniGridEnv
from minigrid.wrappers import DictObservationSpaceWrapper, FullyObsWrapper

from gridcade.envs import registry
from gridcade.envs.best_return import UnknownBestReturnError, find_best_return
from gridcade.envs.grid_search import Way, shortest_success
from gridcade.envs.minigrid import PLANES, one_hot
from gridcade.envs.types import Env
from gridcade.errors import InputError

DOOR_KEY = "MiniGrid-DoorKey-5x5-v0"


def grid_of(env: Env) -> MiniGridEnv:
    assert isinstance(env.unwrapped, MiniGridEnv)
    return env.unwrapped


def codes(image: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Decode MiniGrid's codes from the planes of an image."""
    parts = np.split(image, np.cumsum([len(p) for p in PLANES])[:-1], axis=-1)
    assert all((part.sum(axis=-1) == 1).all() for part in parts)
    return np.stack([part.argmax(axis=-1) for part in parts], axis=-1)


@pytest.mark.parametrize("view", ["partial", "full"])
def test_observations_hold_what_minigrid_shows(view: str) -> None:
    ours = registry.make(f"{DOOR_KEY}?view={view}&mission=words")
    theirs: Env = gym.make(DOOR_KEY)
    if view == "full":
        theirs = FullyObsWrapper(theirs)  # type: ignore[no-untyped-call]
    theirs = DictObservationSpaceWrapper(theirs)  # type: ignore[no-untyped-call]
    seen, expected = ours.reset(seed=4)[0], theirs.reset(seed=4)[0]
    for action in [1, 2, 3, 2, 0, 2, 5, 2, 4, 2] * 5:
        assert ours.observation_space.contains(seen)
        np.testing.assert_array_equal(codes(seen["image"]), expected["image"])
        assert seen["direction"] == expected["direction"]
        assert seen["mission"].tolist() == expected["mission"]
        seen, *rest = ours.step(action)
        expected, *others = theirs.step(action)
        assert rest == others


@pytest.mark.parametrize(
    "name",
    [
        "DoorKey-6x6",
        "MultiRoom-N4-S5-v1",
        "LavaCrossingS9N2",
        "Dynamic-Obstacles-5x5",
        "ObstructedMaze-1Dlh",
        "UnlockPickup?agent_view_size=5",
        "Empty-Random-5x5",
    ],
)
def test_the_partial_view_equals_minigrids_own(name: str) -> None:
    env = registry.make(f"MiniGrid-{name}")
    grid_env: Any = grid_of(env)
    theirs: Any = MiniGridEnv.gen_obs
    rng = np.random.default_rng(0)
    for seed in range(5):
        env.reset(seed=seed)
        for action in rng.choice([0, 1, 2, 2, 2, 3, 4, 5], size=60):
            expected = theirs(grid_env)
            assert expected.keys() == grid_env.gen_obs().keys()
            np.testing.assert_array_equal(grid_env.gen_obs()["image"], expected["image"])
            if any(env.step(action % env.action_space.n)[2:4]):  # type: ignore[attr-defined]
                break


def test_the_mission_is_left_out_by_default() -> None:
    env = registry.make(DOOR_KEY)
    assert isinstance(env.observation_space, gym.spaces.Dict)
    assert {*env.observation_space.spaces} == {"image", "direction"}
    assert env.observation_space["image"].shape == (7, 7, 21)
    assert one_hot(np.zeros((2, 3, 3), np.uint8)).shape == (2, 3, 21)


def test_pictures_are_large_and_the_time_limit_is_known() -> None:
    env = registry.make("MiniGrid-Empty-5x5", render_mode="rgb_array")
    env.reset(seed=0)
    picture: Any = env.render()
    assert min(picture.shape[:2]) >= 400
    assert registry.time_limit(env) == 100
    assert registry.time_limit(registry.make("MiniGrid-Empty-5x5?max_episode_steps=9")) == 9


def test_names_keep_the_view() -> None:
    env = registry.make(f"{DOOR_KEY}?view=full")
    assert registry.parse(registry.name_of(env)) == (DOOR_KEY, {"view": "full"})


@pytest.mark.parametrize(
    ("name", "message"),
    [
        (f"{DOOR_KEY}?view=half", "unknown view of MiniGrid 'half'"),
        ("MiniGrid-DorKey-5x5-v0", "did you mean MiniGrid-DoorKey-5x5-v0"),
        ("BabyAI-GoToLocal-v0?mission=words", "no words for BabyAI"),
        (f"{DOOR_KEY}?sight=3", "sight"),
    ],
)
def test_invalid_names_are_refused(name: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        registry.make(name)


def test_babyai_prints_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    env = registry.make("BabyAI-GoToSeq-v0")
    for seed in range(20):
        env.reset(seed=seed)
    assert capsys.readouterr() == ("", "")


# ---- the best return


@pytest.mark.parametrize(
    "name",
    [
        "Empty-5x5",
        "Empty-Random-6x6",
        "DoorKey-5x5",
        "DoorKey-6x6",
        "FourRooms",
        "LavaGapS5",
        "LavaCrossingS9N1",
        "SimpleCrossingS9N2",
        "KeyCorridorS3R1",
        "KeyCorridorS3R2",
        "Unlock",
        "UnlockPickup",
        "MultiRoom-N2-S4",
        "Fetch-5x5-N2",
        "GoToDoor-5x5",
        "GoToObject-6x6-N2",
        "PutNear-6x6-N2",
        "RedBlueDoors-6x6",
        "MemoryS7",
        "ObstructedMaze-1Dlh",
    ],
)
def test_the_actions_that_are_found_earn_the_best_return(name: str) -> None:
    env = registry.make(f"MiniGrid-{name}")
    layer = find_best_return(env)
    assert layer is not None
    for seed in range(3):
        before, _ = env.reset(seed=seed)
        way = shortest_success(grid_of(env), None)
        assert layer.best_return(registry.time_limit(env)) == way.reward > 0.5
        np.testing.assert_array_equal(before["image"], env.reset(seed=seed)[0]["image"])
        rewards, ends = zip(*(env.step(action)[1:3] for action in way.actions), strict=True)
        assert sum(rewards) == rewards[-1] == way.reward
        assert not any(ends[:-1])
        assert ends[-1]


def brute_force(env: MiniGridEnv, steps: int) -> float:
    """The largest return of all sequences of at most `steps` actions."""
    best = 0.0
    for action in range(7 if steps else 0):
        after = deepcopy(env)
        _, reward, terminated, truncated, _ = after.step(action)
        future = 0.0 if terminated or truncated else brute_force(after, steps - 1)
        best = max(best, float(reward) + future)
    return best


@pytest.mark.parametrize(
    "name", ["Empty-Random-5x5", "Fetch-5x5-N2", "GoToDoor-5x5", "LavaGapS5", "MemoryS7"]
)
def test_the_best_return_equals_that_of_brute_force(name: str) -> None:
    for seed in range(2):
        env = registry.make(f"MiniGrid-{name}")
        env.reset(seed=seed)
        way = shortest_success(grid_of(env), None)
        for action in way.actions[:-3]:
            env.step(action)
        grid_env = grid_of(env)
        grid_env.step_count, steps = 0, min(len(way.actions), 3)
        grid_env.gen_obs = dict  # type: ignore[method-assign]  # observations take long
        assert shortest_success(grid_env, None).reward == brute_force(grid_env, steps)
        assert shortest_success(grid_env, steps - 1) == Way((), 0.0)
        assert brute_force(grid_env, steps - 1) == 0


def test_without_its_key_no_door_can_be_opened() -> None:
    env = registry.make(DOOR_KEY)
    env.reset(seed=0)
    grid_env = grid_of(env)
    for i, cell in enumerate(grid_env.grid.grid):
        if cell is not None and cell.type == "key":
            grid_env.grid.grid[i] = None
    assert shortest_success(grid_env, None) == Way((), 0.0)


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("MiniGrid-Dynamic-Obstacles-5x5", "random"),
        ("BabyAI-GoToLocal-v0", "missions"),
        ("MiniGrid-ObstructedMaze-Full-v1", "more than"),
    ],
)
def test_where_the_best_return_is_not_computed_the_reason_is_given(
    name: str, reason: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gridcade.envs.grid_search.MAX_STATES", 2_000)
    env = registry.make(name)
    layer = find_best_return(env)
    assert layer is not None
    env.reset(seed=0)
    with pytest.raises(UnknownBestReturnError, match=reason):
        layer.best_return(None)


def test_a_wrapper_that_changes_rewards_has_no_best_return() -> None:
    env = registry.make(DOOR_KEY)
    assert find_best_return(gym.wrappers.TransformReward(env, lambda r: 2 * float(r))) is None
    assert find_best_return(gym.wrappers.FlattenObservation(env)) is not None
