"""Whole episodes: their seeds, their number, and their truncation."""

from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from worlds import Corridor, SeedRecorder, env_model, uniform_runner, write_maps

from gridcade.envs import registry
from gridcade.envs.atari import AtariGames
from gridcade.evaluation import episodes
from gridcade.evaluation.episodes import EpisodeRunner
from gridcade.evaluation.evaluate import evaluate_policy
from gridcade.evaluation.evaluated_policy import EvaluatedPolicy
from gridcade.evaluation.policies import TabularPolicy, UniformPolicy
from gridcade.experience.vector import make_vector
from gridcade.seeding import episode_seed


@pytest.fixture(scope="module")
def maps(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_maps(tmp_path_factory.mktemp("maps"))


def test_every_policy_plays_the_same_episodes() -> None:
    """Each episode has its own seed, in order, whatever the policy did before."""
    seeds = []
    for policy in (UniformPolicy(4), TabularPolicy(np.eye(4)[np.zeros(104, dtype=int)])):
        env = SeedRecorder(registry.make("FourRooms?time_limit=30"))
        evaluate_policy(policy, env, episodes=12, seed=4)
        seeds.append(env.seeds[:12])
    assert seeds[0] == seeds[1]
    assert len(set(seeds[0])) == 12


def test_results_do_not_depend_on_the_number_of_environments() -> None:
    alone = evaluate_policy(UniformPolicy(4), registry.make("SlipperyLake"), episodes=40, seed=3)
    together = evaluate_policy(UniformPolicy(4), "SlipperyLake", episodes=40, seed=3)
    for key, value in alone.as_dict().items():
        if key not in ("env", "policy"):
            assert value == pytest.approx(together.as_dict()[key]), key
    again = evaluate_policy(UniformPolicy(4), "SlipperyLake", episodes=40, seed=3)
    assert again == together
    other = evaluate_policy(UniformPolicy(4), "SlipperyLake", episodes=40, seed=4)
    assert other.steps != together.steps


def test_exactly_the_first_episodes_count() -> None:
    """Short episodes do not displace long ones."""
    one, seven = (uniform_runner("SlipperyLake", n).run(20, 0, "evaluation") for n in (1, 7))
    np.testing.assert_array_equal(one.lengths, seven.lengths)
    np.testing.assert_array_equal(one.returns, seven.returns)
    assert len(set(one.lengths)) > 5


class SeededGames(AtariGames):
    """Records the seed of each game, and None for a game that was reset without one."""

    def __init__(self, num_envs: int):
        super().__init__("Breakout", num_envs)
        self.seeds: list[int | None] = []

    def reset(self, *, seed: Any = None, options: Any = None) -> Any:
        mask = np.ones(self.num_envs, bool) if options is None else options["reset_mask"]
        self.seeds += [None if seed is None else seed[i] for i in np.flatnonzero(mask)]
        return super().reset(seed=seed, options=options)


class Remembering:
    """Chooses actions by the observation, and by the number of steps of the episode."""

    def predict(
        self,
        observation: Any,
        state: Any = None,
        episode_start: Any = None,
        deterministic: bool = False,
    ) -> tuple[Any, Any]:
        del deterministic
        steps = np.where(episode_start, 0, 0 if state is None else state[0])
        return (observation.sum((1, 2, 3), dtype=int) + steps) % 4, (steps + 1,)


def test_groups_of_games_play_the_same_episodes() -> None:
    """One group of emulators steps while another acts; games that are not needed get no seed."""
    game = registry.make("Breakout")
    policy = EvaluatedPolicy(Remembering(), game, epsilon=0.2, deterministic=True)
    played = []
    for sizes in ([1], [3], [2, 1]):
        groups = [SeededGames(size) for size in sizes]
        runner = EpisodeRunner(groups, policy, 0.99, time_limit=None, longest_episode=9)
        played.append(runner.run(4, 3, "evaluation"))
        seeds = [seed for envs in groups for seed in envs.seeds]
        assert {*seeds} - {None} == {episode_seed(3, "evaluation", 0, k) for k in range(4)}
        assert len(seeds) - seeds.count(None) == 4
    assert played[0].lengths.tolist() == [9] * 4
    for other in played[1:]:
        np.testing.assert_equal(vars(other), vars(played[0]))


class Drawing:
    """Chooses actions from its own random stream, and records the sizes of the batches."""

    def __init__(self) -> None:
        self.rng = np.random.default_rng(0)
        self.batches: set[int] = set()

    def predict(
        self,
        observation: Any,
        state: Any = None,
        episode_start: Any = None,
        deterministic: bool = False,
    ) -> tuple[Any, Any]:
        del episode_start, deterministic
        self.batches.add(len(observation))
        return self.rng.integers(4, size=len(observation)), state


def test_a_policy_with_a_stream_of_its_own_acts_for_all_games_at_once() -> None:
    """The order of groups depends on the clock, and with groups its actions would depend on it."""
    policies = Drawing(), Drawing()
    results = [evaluate_policy(p, "Breakout", episodes=4) for p in policies]
    assert results[0] == results[1]
    assert policies[0].batches == {4}


class FailingGame(AtariGames):
    """Fails at its second reset."""

    resets = 0

    def reset(self, *, seed: Any = None, options: Any = None) -> Any:
        self.resets += 1
        if self.resets == 2:
            raise RuntimeError("no game")
        return super().reset(seed=seed, options=options)


def test_a_reset_that_fails_leaves_no_step_of_another_group_running() -> None:
    policy = EvaluatedPolicy(UniformPolicy(4), registry.make("Breakout"), 0.0, deterministic=True)
    groups = [FailingGame("Breakout", 1), make_vector("Breakout", 1)]
    runner = EpisodeRunner(groups, policy, 0.99, None, longest_episode=5)
    with pytest.raises(RuntimeError, match="no game"):
        runner.run(12, 0, "evaluation")
    runner = EpisodeRunner(groups[1:], policy, 0.99, None, longest_episode=5)
    assert runner.run(2, 0, "evaluation").lengths.tolist() == [5, 5]


def test_an_interrupted_evaluation_leaves_no_step_running() -> None:
    """The same emulators play the next evaluation."""
    policy = EvaluatedPolicy(UniformPolicy(4), registry.make("Breakout"), 0.0, deterministic=True)
    groups = [make_vector("Breakout", 1) for _ in range(2)]
    checks = count()

    def check() -> None:
        if next(checks) == 7:
            raise TimeoutError

    def run(check: Any) -> Any:
        runner = EpisodeRunner(groups, policy, 0.99, None, longest_episode=5, check=check)
        return runner.run(3, 0, "evaluation")

    with pytest.raises(TimeoutError):
        run(check)
    assert run(lambda: None).lengths.tolist() == [5, 5, 5]


def test_steps_determine_the_number_of_episodes_in_advance(maps: Path) -> None:
    """The number of steps is about as requested, and no stopping rule biases the return."""
    name = str(maps / "costs.txt")
    results = [evaluate_policy(UniformPolicy(4), name, steps=500, seed=seed) for seed in range(20)]
    steps = np.array([r.steps for r in results])
    assert 0.7 * 500 < steps.mean() < 1.3 * 500
    exact = results[0].exact
    assert exact is not None
    means = np.array([r.expected_return.mean for r in results if r.expected_return])
    error = means.std(ddof=1) / np.sqrt(len(means))
    assert abs(means.mean() - float(exact.expected_return or 0)) < 4 * error


@pytest.mark.parametrize(("budget", "pilots"), [({"precision": 0.15}, 2), ({"steps": 800}, 1)])
def test_pilot_episodes_are_not_used_again(maps: Path, budget: dict[str, Any], pilots: int) -> None:
    env = SeedRecorder(registry.make(str(maps / "goal.txt")))
    result = evaluate_policy(UniformPolicy(4), env, **budget)
    assert result.episodes is not None
    counted, pilot = env.seeds[-result.episodes :], env.seeds[: -result.episodes]
    assert counted == [episode_seed(0, "evaluation", 0, k) for k in range(result.episodes)]
    assert (len(pilot) > episodes.PILOT_EPISODES) == (pilots == 2)
    assert pilot[: episodes.PILOT_EPISODES] == [
        episode_seed(0, "pilot", 0, k) for k in range(episodes.PILOT_EPISODES)
    ]
    assert not set(pilot) & set(counted)


def test_precision_is_reached_or_noted(maps: Path) -> None:
    name = str(maps / "goal.txt")
    for seed in range(3):
        result = evaluate_policy(UniformPolicy(4), name, precision=0.15, seed=seed)
        assert result.expected_return is not None
        reached = result.expected_return.half_width / result.expected_return.mean
        assert reached < 0.195
        noted = any("the target was 0.15" in note for note in result.notes)
        assert noted == (reached > 0.15)


def test_precision_without_variance_plays_the_maximum(monkeypatch: pytest.MonkeyPatch) -> None:
    """If all returns of the pilot sample are equal, the number cannot be planned."""
    monkeypatch.setattr(episodes, "MAX_EPISODES", 300)
    result = evaluate_policy(TabularPolicy(np.eye(4)[[1, 1, 1]]), Corridor(), precision=0.02)
    assert result.episodes == 300
    assert any("the maximum of 300 episodes was played" in note for note in result.notes)


def test_precision_beyond_the_maximum_is_noted(maps: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(episodes, "MAX_EPISODES", 1000)
    result = evaluate_policy(UniformPolicy(4), str(maps / "rare.txt"), precision=0.001)
    assert result.episodes == 1000
    assert any("the maximum of 1000 was played" in note for note in result.notes)


def test_endless_episodes_are_truncated_and_counted() -> None:
    result = evaluate_policy(
        UniformPolicy(4), Corridor(length=10**9), episodes=3, longest_episode=50
    )
    assert result.truncated == 1
    assert result.steps == 150
    assert "episodes were truncated after 50 steps" in result.notes


def test_truncated_share_counts_episodes_that_reach_the_time_limit(maps: Path) -> None:
    name = str(maps / "limited.txt")
    result = evaluate_policy(UniformPolicy(4), name, episodes=300)
    sample = uniform_runner(name, 16).run(300, 0, "evaluation")
    assert result.truncated == sample.truncated.mean()
    assert 0.5 < sample.truncated.mean() < 1
    assert (sample.lengths[sample.truncated] == 8).all()


def test_interval_allows_for_truncation_of_endless_episodes(tmp_path: Path) -> None:
    """From 1 start in 100 the policy never ends, and some samples of 100 contain no such start."""
    file = tmp_path / "rare.txt"
    file.write_text(f"time limit: none\nmap:\n{'S' * 99}G\n{'#' * 99}#\nS{'#' * 99}")
    model, limit = env_model(str(file))
    assert limit is None
    right = TabularPolicy(np.eye(4)[np.ones(model.num_states, dtype=int)])
    results = [
        evaluate_policy(right, str(file), episodes=100, seed=seed, longest_episode=200)
        for seed in range(4)
    ]
    incomplete = [r for r in results if r.truncated == 0]
    assert 0 < len(incomplete) < len(results)
    # 99 of 100 episodes take 1 to 99 steps and pay 1; the others are truncated after 200.
    exact = 0.99 / (0.99 * 50 + 0.01 * 200)
    for result in incomplete:
        assert result.average_reward.low < exact < result.average_reward.high
    for result in results:
        noted = "episodes were truncated after 200 steps" in result.notes
        assert noted == (result.truncated != 0)
    limited = evaluate_policy(right, f"{file}?time_limit=250", episodes=200)
    assert limited.truncated
    assert not [note for note in limited.notes if "truncated" in note]
