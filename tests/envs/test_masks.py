"""Reading action masks: where they come from, their shapes, and those that are refused."""

from typing import Any

import gymnasium as gym
import numpy as np
import pytest

from gridcade.envs import registry
from gridcade.envs.actions import action_index
from gridcade.envs.known_models import known_model
from gridcade.envs.masks import masks_of_parts, number_mask
from gridcade.errors import InputError
from gridcade.exact.model_check import check_model
from gridcade.experience.vector import SyncEnvs, reset


class Given(gym.Env[Any, Any]):
    """Gives prepared masks: one for the reset, and one for each step. None: no mask."""

    observation_space = gym.spaces.Discrete(1)

    def __init__(self, *masks: Any, actions: Any = None, ends: bool = False):
        self.masks, self.ends = masks, ends
        self.action_space = actions or gym.spaces.Discrete(3)

    def reset(self, *, seed: int | None = None, options: Any = None) -> Any:
        super().reset(seed=seed, options=options)
        self.t = 0
        return 0, self._info()

    def step(self, action: Any) -> Any:
        del action
        self.t += 1
        return 0, 0.0, self.ends, False, self._info()

    def _info(self) -> dict[str, Any]:
        return {} if self.masks[self.t] is None else {"action_mask": self.masks[self.t]}


def read(env: gym.Env[Any, Any], steps: int = 1) -> list[Any]:
    """Read the masks of a reset and of some steps."""
    envs = SyncEnvs([env])
    reset(envs, [0])
    found = [envs.masks]
    for _ in range(steps):
        envs.step(envs.action_space.sample())
        found.append(envs.masks)
    return [None if masks is None else masks[0].tolist() for masks in found]


@pytest.mark.parametrize("kind", [list, np.array, lambda m: np.array(m, bool)])
def test_masks_of_numbers_and_booleans(kind: Any) -> None:
    masks = [[1, 0, 1], [0, 1, 0]]
    assert read(Given(*map(kind, masks))) == [[True, False, True], [False, True, False]]
    assert read(Given(None, None)) == [None, None]


def test_a_wrapper_may_mask_as_sb3_contrib_does() -> None:
    masker = pytest.importorskip("sb3_contrib.common.wrappers").ActionMasker
    env = masker(Given([1, 1, 1], [1, 1, 1]), lambda env: np.array([False, True, env.t == 0]))
    assert read(env) == [[False, True, True], [False, True, False]]  # not the masks in info


def test_a_mask_that_the_environment_changes_later_is_kept() -> None:
    mask = np.array([True, True, False])
    envs = SyncEnvs([Given(mask, mask)])
    reset(envs, [0])
    before = envs.masks
    mask[:] = [False, False, True]
    assert before is not None
    assert before.tolist() == [[True, True, False]]


@pytest.mark.parametrize(
    ("masks", "message"),
    [
        (([1, 1], [1, 1, 1]), r"info\['action_mask'\] is \[1, 1\] at the reset; it must have 3"),
        (([1, 1, 1], [[1, 1, 1]]), "at step 1 of the episode; it must have 3 entries"),
        (([1, 1, 1], {"a": 1}), "is {'a': 1} at step 1"),
        (([1, 1, 1], [[1], [1, 1]]), "at step 1 of the episode"),
        (([1, 1, 1], "110"), "is '110' at step 1"),
        (([1, 1, 1], [1, 0.5, 0]), "at step 1 of the episode; it must have 3 entries, 0 or 1"),
        (([1, 1, 1], [0, -np.inf, 0]), "at step 1 of the episode; it must have 3 entries, 0 or 1"),
        (([1, 2, 1], [1, 1, 1]), "at the reset; it must have 3 entries, 0 or 1"),
        (([0, 0, 0], [1, 1, 1]), "allows no action at the reset"),
        (([1, 1, 1], np.zeros(3)), "allows no action at step 1 of the episode"),
        (([1, 1, 1], None), "had one .* at the reset, but has none at step 1"),
        ((None, [1, 1, 1]), "had none .* at the reset, but has one at step 1"),
    ],
)
def test_wrong_masks_are_refused_with_the_step(masks: Any, message: str) -> None:
    with pytest.raises(InputError, match=message) as error:
        read(Given(*masks))
    assert "?mask=off" in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("last", [None, [0, 0, 0]])
def test_the_mask_of_a_terminal_state_may_be_missing_or_empty(last: Any) -> None:
    assert read(Given([1, 0, 0], last, ends=True)) == [[True, False, False], [True] * 3]


def test_an_error_in_action_masks_is_one_line_with_its_place() -> None:
    class Failing(Given):
        def action_masks(self) -> Any:
            return 1 / 0

    with pytest.raises(InputError, match=r"action_masks\(\) failed at .*test_masks.py:.*Zero"):
        read(Failing([1, 1, 1]))


@pytest.mark.parametrize("space", [gym.spaces.MultiDiscrete([3, 2, 2]), gym.spaces.MultiBinary(3)])
def test_masks_of_parts_allow_the_actions_whose_parts_they_allow(space: Any) -> None:
    index, rng = action_index(space), np.random.default_rng(0)
    every = index.decode(np.arange(index.count))
    firsts = np.cumsum([0, *index.parts[:-1]])
    for _ in range(20):
        given = rng.random(sum(index.parts)) < 0.6
        given[firsts] = True  # each part allows something
        mask = number_mask(given.astype(np.int8), index)
        assert mask is not None
        expected = [all(given[firsts + action]) for action in every]
        assert mask.tolist() == expected
        assert masks_of_parts(mask[None], index)[0].tolist() == given.tolist()
    everything = np.ones(index.count, dtype=bool)
    assert number_mask(everything, index) is not None
    assert number_mask(np.ones(5 if space == gym.spaces.MultiBinary(3) else 6), index) is None


def test_a_masked_reset_keeps_the_masks_of_the_other_environments() -> None:
    envs = SyncEnvs([Given([1, 0, 0], [0, 1, 0]) for _ in range(3)])
    reset(envs, [0, 1, 2])
    envs.step(np.zeros(3, int))
    reset(envs, [0, 1, 2], np.array([False, True, False]))
    masks = envs.masks
    assert masks is not None
    assert masks.argmax(axis=1).tolist() == [1, 0, 1]


class Declared(Given):
    """One state that never ends, whose declared model allows other actions than its masks."""

    def __init__(self, mask: Any, allowed: Any):
        super().__init__(mask, *[mask] * 5000, actions=gym.spaces.Discrete(3))
        self.allowed = allowed

    def reset(self, **options: Any) -> Any:
        return super().reset(**options)

    def step(self, action: Any) -> Any:
        return super().step(action)

    def transition_model(self) -> Any:
        table = {0: {a: [(1.0, 0, 0.0, False)] for a in range(3)}}
        return (table, [1.0]) if self.allowed is None else (table, [1.0], self.allowed)


@pytest.mark.parametrize(
    ("mask", "allowed", "message"),
    [
        ([1, 0, 1], [[1, 0, 1]], ""),
        (None, None, ""),
        ([1, 0, 1], [[1, 1, 1]], "allows actions 0, 2, and the model actions 0, 1, 2"),
        ([1, 0, 1], None, "allows actions 0, 2, and the model all actions"),
        (None, [[1, 0, 1]], "allows all actions, and the model actions 0, 2"),
    ],
)
def test_a_declared_model_has_to_agree_with_the_masks(
    mask: Any, allowed: Any, message: str
) -> None:
    env = Declared(mask, allowed)
    model = known_model(env)
    assert model is not None
    if not message:
        checked = check_model(env, model)
        assert checked.pairs == checked.often == (2 if mask else 3)
        return
    with pytest.raises(InputError, match=message):
        check_model(env, model)


def test_a_model_is_not_used_if_a_method_masks_actions_that_it_allows() -> None:
    lake = registry.make("FrozenLake").unwrapped
    assert known_model(lake) is not None
    lake.action_masks = lambda: np.array([1, 1, 0, 0])  # type: ignore[attr-defined]  # as users do
    assert known_model(lake) is None


@pytest.mark.parametrize("name", ["Taxi?mask=off", "FourRooms?mask=off", "Breakout?mask=off"])
def test_every_name_takes_mask_off(name: str) -> None:
    if name.startswith("Breakout"):
        pytest.importorskip("ale_py")
    env = registry.make(name)
    expected = name if not name.startswith("Breakout") else "Breakout"
    assert registry.name_of(env) == expected
    assert registry.parse(name)[1] == {}
    model = known_model(env)
    assert model is None or model.allowed is None
    if name.startswith("Taxi"):
        assert read(env) == [None, None]
        assert read(registry.make("Taxi?mask=on"))[0] is not None


def test_another_value_of_mask_is_refused() -> None:
    with pytest.raises(InputError, match="mask is 'none'; it must be on or off"):
        registry.make("Taxi?mask='none'")


@pytest.mark.parametrize("terminated", [True, False])
def test_the_end_of_an_episode_needs_no_mask(terminated: bool) -> None:
    """A method may fail in a terminal state, in which no action is chosen."""

    class Ends(Given):
        def step(self, action: Any) -> Any:
            observation, reward, _, _, info = super().step(action)
            return observation, reward, terminated, not terminated, info

    for last in (None, [0, 0, 0]):
        assert read(Ends([1, 0, 1], last))[1] == [True, True, True]
    if terminated:
        env = Ends(None, None)
        allowed = iter([[1, 0, 1]])
        env.action_masks = lambda: next(allowed)  # type: ignore[attr-defined]  # as a method
        assert read(env)[1] == [True, True, True]
