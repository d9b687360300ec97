"""Replay memory: samples are compared with those of a naive list of transitions."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gridcade.agents.fast import to_blocks
from gridcade.agents.replay import Replay
from gridcade.experience.step import Step


class Naive:
    """Stores every stacked observation of every environment in lists."""

    def __init__(self, envs: int):
        self.episodes: list[list[list[dict[str, Any]]]] = [[[]] for _ in range(envs)]

    def add(self, env: int, **transition: Any) -> None:
        self.episodes[env][-1].append(transition)
        if transition["ended"]:
            self.episodes[env].append([])

    def transitions(self, steps: int, discount: float) -> dict[bytes, tuple[Any, ...]]:
        """Return {observation: (action, return, next observation, discount)} of full windows."""
        transitions = {}
        for episodes in self.episodes:
            for episode in episodes:
                for i, first in enumerate(episode):
                    total, weight = 0.0, 1.0
                    for k in range(steps):
                        if i + k == len(episode):  # later rewards are unknown
                            break
                        one = episode[i + k]
                        total += weight * one["reward"]
                        weight *= discount
                        if one["terminated"] or one["ended"] or k == steps - 1:
                            outcome = (
                                first["action"],
                                total,
                                one["after"].tobytes(),
                                0.0 if one["terminated"] else weight,
                            )
                            transitions[first["observation"].tobytes()] = outcome
                            break
        return transitions


def masks_of(observations: Any) -> Any:
    """A mask for each observation that depends on its newest frame.  [n, k] -> [n, 3]."""
    newest = np.asarray(observations)[:, -1:].astype(int)
    return (newest >> np.arange(3)) % 2 == 1


def play(
    rng: np.random.Generator,
    replay: Replay,
    stack: int,
    envs: int,
    steps: int,
    masked: bool = False,
) -> tuple[Naive, list[int]]:
    """Play random episodes; every frame is a new number, so that all observations differ."""
    naive = Naive(envs)
    number = 0
    slots = [0] * envs  # number of slots that each environment should use

    def new_frame() -> Any:
        nonlocal number
        number += 1
        return np.float64(number)

    def first(env: int) -> Any:
        slots[env] += max(stack, 1)
        return np.array([new_frame() for _ in range(stack)]) if stack else np.array([new_frame()])

    current = [first(env) for env in range(envs)]
    for _ in range(steps):
        observations = list(current)
        after, ended, terminated, life = [], [], [], []
        for env in range(envs):
            frame = new_frame()
            slots[env] += 1
            observation = np.append(observations[env][1:], frame) if stack else np.array([frame])
            after.append(observation)
            terminated.append(rng.random() < 0.1)
            ended.append(bool(terminated[-1]) or rng.random() < 0.1)
            life.append(bool(terminated[-1]) or (not ended[-1] and rng.random() < 0.1))
            current[env] = first(env) if ended[-1] else observation
        actions = rng.integers(0, 5, envs)
        rewards = rng.integers(-2, 3, envs).astype(np.float64)
        step = Step(
            observations=np.array(observations),
            actions=actions,
            rewards=rewards,
            next_observations=np.array(after),
            terminated=np.array(terminated),
            truncated=np.array(ended) & ~np.array(terminated),
            current=np.array(current),
            masks=masks_of(observations) if masked else None,
            next_masks=masks_of(after) if masked else None,
            current_masks=masks_of(current) if masked else None,
        )
        replay.add(step, rewards, np.array(life))
        for env in range(envs):
            naive.add(
                env,
                observation=observations[env],
                action=int(actions[env]),
                reward=float(rewards[env]),
                after=after[env],
                terminated=life[env],
                ended=ended[env],
            )
    return naive, slots


@settings(max_examples=60)
@given(
    seed=st.integers(0, 10**6),
    stack=st.sampled_from([0, 2, 4]),
    envs=st.integers(1, 3),
    steps=st.integers(1, 60),
    n=st.integers(1, 4),
    capacity=st.integers(30, 120),
    masked=st.booleans(),
)
def test_samples_equal_those_of_a_naive_list(
    seed: int, stack: int, envs: int, steps: int, n: int, capacity: int, masked: bool
) -> None:
    rng = np.random.default_rng(seed)
    shape = () if stack else (1,)
    replay = Replay(envs, capacity, 30, shape, np.float64, stack)
    naive, slots = play(rng, replay, stack, envs, steps, masked)
    assert replay.written.tolist() == slots
    transitions = naive.transitions(n, 0.9)
    try:
        batch = replay.sample(64, rng, n, 0.9)
    except ValueError:
        assert steps < n + 2 or capacity // envs < n + max(stack, 1) + 12
        return
    for i in range(64):
        action, total, after, weight = transitions[np.asarray(batch.observations[i]).tobytes()]
        assert batch.actions[i] == action
        assert batch.returns[i] == pytest.approx(total, rel=1e-5, abs=1e-6)
        assert batch.discounts[i] == pytest.approx(weight, rel=1e-5)
        if weight:  # the next observation is irrelevant after an end
            assert np.asarray(batch.next_observations[i]).tobytes() == after
    assert (batch.masks is not None) == (batch.next_masks is not None) == masked
    if masked:
        np.testing.assert_array_equal(batch.masks, masks_of(batch.observations))
        np.testing.assert_array_equal(batch.next_masks, masks_of(batch.next_observations))


def test_all_transitions_of_the_window_are_equally_likely() -> None:
    rng = np.random.default_rng(0)
    replay = Replay(2, 60, 20, (1,), np.float64)
    play(rng, replay, 0, 2, 200)
    counts: dict[float, int] = {}
    for _ in range(400):
        for observation in replay.sample(50, rng).observations:
            counts[float(observation[0])] = counts.get(float(observation[0]), 0) + 1
    num_transitions = sum(
        bool(replay.flags[env, slot % replay.ring] & 1)
        for env in range(2)
        for slot in range(replay.written[env] - 30, replay.written[env] - 1)
    )
    assert len(counts) == num_transitions
    expected = 20_000 / num_transitions
    chi_square = sum((c - expected) ** 2 / expected for c in counts.values())
    assert chi_square < num_transitions + 5 * np.sqrt(2 * num_transitions)


def test_frames_of_a_checkpoint_are_not_overwritten_before_needs_checkpoint() -> None:
    """After adding steps until `needs_checkpoint`, the restored state gives the same samples."""
    rng = np.random.default_rng(1)
    replay = Replay(1, 40, 25, (), np.float64, stack=4)
    play(rng, replay, 4, 1, 100)
    saved = {key: value.copy() for key, value in replay.state_dict().items()}
    replay.checkpoint_saved()
    before = replay.sample(500, np.random.default_rng(5), 3)
    num_steps = 0
    while not replay.needs_checkpoint:
        play(rng, replay, 4, 1, 1)
        num_steps += 1
    assert num_steps >= 5
    assert replay.sample(500, np.random.default_rng(5), 3).returns.tobytes() != (
        before.returns.tobytes()
    )
    replay.load_state_dict(saved)
    restored = replay.sample(500, np.random.default_rng(5), 3)
    np.testing.assert_array_equal(restored.observations, before.observations)
    np.testing.assert_array_equal(restored.returns, before.returns)
    np.testing.assert_array_equal(restored.next_observations, before.next_observations)
    np.testing.assert_array_equal(restored.discounts, before.discounts)


def test_a_million_frames_fit_into_7_5_gigabytes() -> None:
    sizes = []

    def counted(name: str, shape: tuple[int, ...], dtype: Any) -> Any:
        del name
        sizes.append(int(np.prod(shape, dtype=np.int64)) * np.dtype(dtype).itemsize)
        return np.zeros((1, 1))

    Replay(8, 1_000_000, 50_000, (84, 84), np.uint8, 4, counted)
    assert sum(sizes) < 7.5e9


def test_frames_stored_as_blocks_are_stacked_for_the_network() -> None:
    """Samples equal the blocks of the stacked observations."""
    rng = np.random.default_rng(0)
    replay = Replay(1, 200, 50, (12, 8), np.uint8, 3, encode=to_blocks)
    observations = {}
    current = rng.integers(0, 256, (1, 3, 12, 8), dtype=np.uint8)
    for number in range(60):
        after = np.concatenate(
            [current[:, 1:], rng.integers(0, 256, (1, 1, 12, 8), dtype=np.uint8)], axis=1
        )
        observations[number] = current
        none = np.array([False])
        step = Step(current, np.array([number]), np.zeros(1), after, none, none, after)
        replay.add(step, np.zeros(1), none)
        current = after
    batch = replay.sample(40, rng)
    for i, number in enumerate(batch.actions):
        np.testing.assert_array_equal(
            batch.observations[i], to_blocks(observations[int(number)])[0]
        )


@pytest.mark.parametrize(("envs", "slack"), [(1, 1), (8, 32), (64, 256)])
@pytest.mark.parametrize("stack", [0, 4])
def test_the_slack_holds_the_steps_between_two_checkpoints(
    envs: int, slack: int, stack: int
) -> None:
    """Otherwise training would save one checkpoint after another, without a step between them."""
    replay = Replay(envs, 100 * envs, slack, (), np.float64, stack)
    shape = (envs, stack) if stack else (envs,)
    no, zeros = np.zeros(envs, bool), np.zeros(shape)
    step = Step(zeros, np.zeros(envs, int), np.zeros(envs), zeros, no, no, zeros)
    for _ in range(5):
        for _ in range(max(slack // envs, 1)):
            assert not replay.needs_checkpoint
            replay.add(step, step.rewards, no)
        replay.checkpoint_saved()
