"""Replay against a naive list of transitions."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gridcade.agents.fast import to_blocks
from gridcade.agents.replay import Replay
from gridcade.experience.step import Step


class Naive:
    """Keeps every stacked observation of every environment, and nothing clever."""

    def __init__(self, envs: int):
        self.episodes: list[list[list[dict[str, Any]]]] = [[[]] for _ in range(envs)]

    def add(self, env: int, **transition: Any) -> None:
        self.episodes[env][-1].append(transition)
        if transition["ended"]:
            self.episodes[env].append([])

    def transitions(self, steps: int, discount: float) -> dict[bytes, tuple[Any, ...]]:
        """Observation -> action, return, next observation, discount; whole windows only."""
        found = {}
        for episodes in self.episodes:
            for episode in episodes:
                for i, first in enumerate(episode):
                    total, weight = 0.0, 1.0
                    for k in range(steps):
                        if i + k == len(episode):  # still going on: not all rewards are known
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
                            found[first["observation"].tobytes()] = outcome
                            break
        return found


def play(
    rng: np.random.Generator, replay: Replay, stack: int, envs: int, steps: int
) -> tuple[Naive, list[int]]:
    """Random episodes; every frame is another number, so no two observations are alike."""
    naive = Naive(envs)
    number = 0
    slots = [0] * envs  # that each environment should have used

    def fresh() -> Any:
        nonlocal number
        number += 1
        return np.float64(number)

    def first(env: int) -> Any:
        slots[env] += max(stack, 1)
        return np.array([fresh() for _ in range(stack)]) if stack else np.array([fresh()])

    current = [first(env) for env in range(envs)]
    for _ in range(steps):
        observations = list(current)
        after, ended, terminated, life = [], [], [], []
        for env in range(envs):
            new = fresh()
            slots[env] += 1
            seen = np.append(observations[env][1:], new) if stack else np.array([new])
            after.append(seen)
            terminated.append(rng.random() < 0.1)
            ended.append(bool(terminated[-1]) or rng.random() < 0.1)
            life.append(bool(terminated[-1]) or (not ended[-1] and rng.random() < 0.1))
            current[env] = first(env) if ended[-1] else seen
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
)
def test_samples_are_what_a_naive_list_would_give(
    seed: int, stack: int, envs: int, steps: int, n: int, capacity: int
) -> None:
    rng = np.random.default_rng(seed)
    shape = () if stack else (1,)
    replay = Replay(envs, capacity, 30, shape, np.float64, stack)
    naive, slots = play(rng, replay, stack, envs, steps)
    assert replay.written.tolist() == slots
    transitions = naive.transitions(n, 0.9)
    try:
        batch = replay.sample(64, rng, n, 0.9)
    except ValueError:
        assert steps < n + 2 or capacity // envs < n + max(stack, 1) + 12
        return
    for i in range(64):
        action, total, after, weight = transitions[batch.observations[i].tobytes()]
        assert batch.actions[i] == action
        assert batch.returns[i] == pytest.approx(total, rel=1e-5, abs=1e-6)
        assert batch.discounts[i] == pytest.approx(weight, rel=1e-5)
        if weight:  # after an end the next observation does not count
            assert batch.next_observations[i].tobytes() == after


def test_every_transition_of_the_window_is_drawn_equally_often() -> None:
    rng = np.random.default_rng(0)
    replay = Replay(2, 60, 20, (1,), np.float64)
    play(rng, replay, 0, 2, 200)
    counts: dict[float, int] = {}
    for _ in range(400):
        for observation in replay.sample(50, rng).observations:
            counts[float(observation[0])] = counts.get(float(observation[0]), 0) + 1
    decided = sum(
        bool(replay.flags[env, slot % replay.ring] & 1)
        for env in range(2)
        for slot in range(replay.written[env] - 30, replay.written[env] - 1)
    )
    assert len(counts) == decided
    expected = 20_000 / decided
    chi_square = sum((c - expected) ** 2 / expected for c in counts.values())
    assert chi_square < decided + 5 * np.sqrt(2 * decided)


def test_nothing_that_a_checkpoint_refers_to_is_overwritten_before_it_is_full() -> None:
    """Go on after a checkpoint until `full`; go back: samples are as they were."""
    rng = np.random.default_rng(1)
    replay = Replay(1, 40, 25, (), np.float64, stack=4)
    play(rng, replay, 4, 1, 100)
    kept = {key: value.copy() for key, value in replay.state_dict().items()}
    replay.checkpoint_saved()
    before = replay.sample(500, np.random.default_rng(5), 3)
    went_on = 0
    while not replay.needs_checkpoint:
        play(rng, replay, 4, 1, 1)
        went_on += 1
    assert went_on >= 5
    assert replay.sample(500, np.random.default_rng(5), 3).returns.tobytes() != (
        before.returns.tobytes()
    )
    replay.load_state_dict(kept)
    again = replay.sample(500, np.random.default_rng(5), 3)
    np.testing.assert_array_equal(again.observations, before.observations)
    np.testing.assert_array_equal(again.returns, before.returns)
    np.testing.assert_array_equal(again.next_observations, before.next_observations)
    np.testing.assert_array_equal(again.discounts, before.discounts)


def test_a_million_frames_fit_in_seven_and_a_half_gigabytes() -> None:
    sizes = []

    def counted(name: str, shape: tuple[int, ...], dtype: Any) -> Any:
        del name
        sizes.append(int(np.prod(shape, dtype=np.int64)) * np.dtype(dtype).itemsize)
        return np.zeros((1, 1))

    Replay(8, 1_000_000, 50_000, (84, 84), np.uint8, 4, counted)
    assert sum(sizes) < 7.5e9


def test_stacks_of_blocks_are_those_of_the_frames() -> None:
    """Frames stored as blocks come out as the network takes stacked observations."""
    rng = np.random.default_rng(0)
    replay = Replay(1, 200, 50, (12, 8), np.uint8, 3, encode=to_blocks)
    seen = {}
    current = rng.integers(0, 256, (1, 3, 12, 8), dtype=np.uint8)
    for number in range(60):
        after = np.concatenate(
            [current[:, 1:], rng.integers(0, 256, (1, 1, 12, 8), dtype=np.uint8)], axis=1
        )
        seen[number] = current
        none = np.array([False])
        step = Step(current, np.array([number]), np.zeros(1), after, none, none, after)
        replay.add(step, np.zeros(1), none)
        current = after
    batch = replay.sample(40, rng)
    for i, number in enumerate(batch.actions):
        np.testing.assert_array_equal(batch.observations[i], to_blocks(seen[int(number)])[0])


@pytest.mark.parametrize(("envs", "slack"), [(1, 1), (8, 32), (64, 256)])
@pytest.mark.parametrize("stack", [0, 4])
def test_there_is_room_for_the_steps_between_two_checkpoints(
    envs: int, slack: int, stack: int
) -> None:
    """However few: a memory that is always full would make checkpoints, and no step."""
    replay = Replay(envs, 100 * envs, slack, (), np.float64, stack)
    shape = (envs, stack) if stack else (envs,)
    no, zeros = np.zeros(envs, bool), np.zeros(shape)
    step = Step(zeros, np.zeros(envs, int), np.zeros(envs), zeros, no, no, zeros)
    for _ in range(5):
        for _ in range(max(slack // envs, 1)):
            assert not replay.needs_checkpoint
            replay.add(step, step.rewards, no)
        replay.checkpoint_saved()
