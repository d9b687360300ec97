"""The harness: estimates against exact values, intervals by their coverage, episodes by seeds."""

from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from numpy.typing import NDArray

from gridcade.envs import registry
from gridcade.envs.tabular import Model
from gridcade.errors import InputError
from gridcade.evaluation import evaluate
from gridcade.evaluation.evaluate import (
    ENVS,
    MAX_EPISODES,
    Actor,
    EpisodeRunner,
    Episodes,
    estimates,
    evaluate_policy,
    measure_streams,
)
from gridcade.evaluation.intervals import Estimate
from gridcade.evaluation.policies import TabularPolicy, UniformPolicy, optimal_policy, random_policy
from gridcade.exact import solver
from gridcade.exact.values import two_values
from gridcade.experience.vector import make_vector
from gridcade.seeding import episode_seed

REPLICATIONS = 1000
WORLDS = {
    # one reward, at ends: common, and rare
    "goal": "slip: 0.3\nlegend:\n    o: end\nmap:\no....\no.S.G\no....\nooooo",
    "rare": "legend:\n    o: end\nmap:\noooooo\n#SS..G\noooooo",
    # rewards all along, correlated with the length
    "costs": "step reward: -0.1\nslip: 0.2\nlegend:\n    o: end, reward -1\nmap:\nS..\n.o.\n..G",
    # cut off more often than not
    "limited": "step reward: -1\ntime limit: 8\nmap:\nS.....G",
    # continuing
    "portal": "legend:\n    P: reward 1, to S\nmap:\nS.P",
}


@pytest.fixture(scope="module")
def maps(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("maps")
    for name, text in WORLDS.items():
        (folder / f"{name}.txt").write_text(text)
    return folder


def known(env: str) -> tuple[Model, int | None]:
    single = registry.make(env)
    model = registry.known_model(single)
    assert model is not None
    return model, registry.time_limit(single)


@pytest.mark.parametrize(
    ("world", "sizes"), [("goal", [100]), ("rare", [100, 400]), ("costs", [60])]
)
def test_intervals_cover_as_often_as_they_say(maps: Path, world: str, sizes: list[int]) -> None:
    """Nominal 95 %, over replications of whole evaluations.

    (Of rare pay a discounted return's interval covers a little more: see `rarely_paid_interval`.)
    """
    name = str(maps / f"{world}.txt")
    model, limit = known(name)
    exact = solver.policy_value(model, np.full((model.num_states, 4), 0.25), 0.99, limit)
    assert exact.expected_return is not None
    assert exact.episode_length is not None
    truths = (
        exact.expected_return,
        exact.average_reward,
        exact.discounted_return,
        exact.episode_length,
    )
    assert world != "rare" or exact.expected_return < 0.02
    envs = make_vector(name, 100)
    player = EpisodeRunner(
        envs, Actor(UniformPolicy(4), registry.make(name), 0.0, True), 0.99, limit
    )
    played = player.play(REPLICATIONS * max(sizes), 0, "evaluation")
    for size in sizes:
        covered = np.zeros(4)
        for i in range(REPLICATIONS):
            part = slice(i * size, (i + 1) * size)
            one = Episodes(
                played.returns[part],
                played.lengths[part],
                played.discounted[part],
                played.truncated[part],
            )
            found = estimates(one, 0.95, two_values(model), limit)
            for k, truth in enumerate(truths):
                covered[k] += found[k].low <= truth <= found[k].high
        shares = covered / REPLICATIONS
        assert (shares >= 0.93).all(), (size, shares)
        assert (shares <= [0.97, 0.97, 0.985, 0.97]).all(), (size, shares)


def test_intervals_of_continuing_tasks_cover_as_often_as_they_say(maps: Path) -> None:
    name = str(maps / "portal.txt")
    model, _ = known(name)
    gain = solver.policy_value(model, np.full((model.num_states, 4), 0.25)).average_reward
    envs = make_vector(name, 8)
    actor = Actor(UniformPolicy(4), registry.make(name), 0.0, True)
    table = np.full((model.num_states, 4), 0.25)
    discounted = solver.policy_value(model, table, 0.9).discounted_return
    covered = np.zeros(2)
    for seed in range(REPLICATIONS):
        found = measure_streams(envs, actor, seed, 960, 0.95, 0.9)
        for k, truth in enumerate((gain, discounted)):
            estimate = found[k]
            assert estimate is not None
            covered[k] += estimate.low <= truth <= estimate.high
    shares = covered / REPLICATIONS
    assert (shares >= 0.93).all(), shares
    assert (shares <= 0.97).all(), shares


def random_world(seed: int) -> str:
    """A small world drawn at random: slippery, with rewards, and an end that can be reached."""
    rng = np.random.default_rng(seed)
    symbols = rng.choice(list("...#ab"), size=(4, 5))
    symbols[0, 0], symbols[1:, 0], symbols[3, :], symbols[3, 4] = "S", ".", ".", "G"
    drawn = "\n".join("".join(row) for row in symbols)
    slip, stray = rng.uniform(0, 0.4, 2).round(2)
    return (
        f"slip: {slip}\nstray: {stray}\nstep reward: {rng.uniform(-1, 0):.2f}\ntime limit: 40\n"
        f"legend:\n    a: reward {rng.uniform(-2, 2):.2f}\n    b: end, reward 0.5\nmap:\n{drawn}"
    )


@pytest.mark.parametrize("seed", range(6))
def test_estimates_agree_with_exact_values(tmp_path: Path, seed: int) -> None:
    """Random policies on random worlds, within five standard errors; epsilon mixed in."""
    file = tmp_path / "world.txt"
    file.write_text(random_world(seed))
    model, limit = known(str(file))
    rng = np.random.default_rng(seed)
    policy = TabularPolicy(rng.dirichlet(np.ones(4) / 2, model.num_states))
    epsilon = float(rng.uniform(0, 0.5))
    result = evaluate_policy(policy, str(file), episodes=3000, seed=seed, epsilon=epsilon)
    assert result.exact is not None
    mixed = (1 - epsilon) * policy.table + epsilon / 4
    run = solver.policy_value(model, mixed, 0.99, limit)
    unlimited = solver.policy_value(model, mixed)
    assert result.exact.expected_return == run.expected_return
    assert result.exact.average_reward == run.average_reward
    assert result.exact.unlimited_return == unlimited.expected_return
    pairs: list[tuple[Estimate | None, float | None]] = [
        (result.expected_return, run.expected_return),
        (result.average_reward, run.average_reward),
        (result.discounted_return, run.discounted_return),
        (result.episode_length, run.episode_length),
    ]
    for estimate, value in pairs:
        assert estimate is not None
        assert value is not None
        standard_error = estimate.half_width / 1.96
        assert abs(estimate.mean - value) < 5 * standard_error


def test_average_reward_is_no_mean_of_ratios(maps: Path) -> None:
    """Returns over lengths, summed up: averaging G / L over episodes is far from the gain."""
    name = str(maps / "goal.txt")
    result = evaluate_policy(UniformPolicy(4), name, episodes=2000)
    assert result.exact is not None
    assert result.average_reward.low < result.exact.average_reward < result.average_reward.high
    envs = make_vector(name, 16)
    player = EpisodeRunner(
        envs, Actor(UniformPolicy(4), registry.make(name), 0.0, True), 0.99, None
    )
    played = player.play(2000, 0, "evaluation")
    mean_of_ratios = float((played.returns / played.lengths).mean())
    assert mean_of_ratios > result.average_reward.high


class Recorder(gym.Wrapper[Any, Any, Any, Any]):
    """Notes the seed of every reset."""

    def __init__(self, env: gym.Env[Any, Any]):
        super().__init__(env)
        self.seeds: list[int] = []

    def reset(self, **options: Any) -> Any:
        self.seeds.append(options["seed"])
        return self.env.reset(**options)


def test_every_policy_gets_the_same_episodes() -> None:
    """Each episode its own seed, in order, whatever the policy did before."""
    seeds = []
    for policy in (UniformPolicy(4), TabularPolicy(np.eye(4)[np.zeros(104, dtype=int)])):
        env = Recorder(registry.make("FourRooms"))
        evaluate_policy(policy, env, episodes=12, seed=4)
        seeds.append(env.seeds[:12])
    assert seeds[0] == seeds[1]
    assert len(set(seeds[0])) == 12


def test_results_do_not_depend_on_what_runs_side_by_side() -> None:
    """One environment, or sixteen: the same episodes, the same actions, the same numbers."""
    alone = evaluate_policy(UniformPolicy(4), registry.make("SlipperyLake"), episodes=40, seed=3)
    together = evaluate_policy(UniformPolicy(4), "SlipperyLake", episodes=40, seed=3)
    for key, value in alone.as_dict().items():
        if key not in ("env", "policy"):
            assert value == pytest.approx(together.as_dict()[key]), key
    again = evaluate_policy(UniformPolicy(4), "SlipperyLake", episodes=40, seed=3)
    assert again == together
    other = evaluate_policy(UniformPolicy(4), "SlipperyLake", episodes=40, seed=4)
    assert other.steps != together.steps


def test_no_episode_is_dropped_or_picked() -> None:
    """Short episodes do not crowd out long ones: exactly the first n are counted."""
    name = "SlipperyLake"
    actor = Actor(UniformPolicy(4), registry.make(name), 0.0, True)
    one, seven = (
        EpisodeRunner(make_vector(name, n), actor, 0.99, 400).play(20, 0, "evaluation")
        for n in (1, 7)
    )
    np.testing.assert_array_equal(one.lengths, seven.lengths)
    np.testing.assert_array_equal(one.returns, seven.returns)
    assert len(set(one.lengths)) > 5


def test_steps_fix_the_number_of_episodes_beforehand(maps: Path) -> None:
    """Steps come out about as asked for, and no stopping rule biases the return."""
    name = str(maps / "costs.txt")
    results = [evaluate_policy(UniformPolicy(4), name, steps=1500, seed=seed) for seed in range(20)]
    steps = np.array([r.steps for r in results])
    assert 0.7 * 1500 < steps.mean() < 1.3 * 1500
    exact = results[0].exact
    assert exact is not None
    means = np.array([r.expected_return.mean for r in results if r.expected_return])
    error = means.std(ddof=1) / np.sqrt(len(means))
    assert abs(means.mean() - float(exact.expected_return or 0)) < 4 * error


@pytest.mark.parametrize("budget", [{"precision": 0.03}, {"steps": 1500}])
def test_a_pilots_episodes_are_not_counted_again(maps: Path, budget: dict[str, Any]) -> None:
    env = Recorder(registry.make(str(maps / "goal.txt")))
    result = evaluate_policy(UniformPolicy(4), env, **budget)
    assert result.episodes is not None
    counted, before = env.seeds[-result.episodes :], env.seeds[: -result.episodes]
    assert counted == [episode_seed(0, "evaluation", 0, k) for k in range(result.episodes)]
    assert before
    assert not set(before) & set(counted)


def test_precision_is_reached(maps: Path) -> None:
    name = str(maps / "goal.txt")
    for seed in range(3):
        result = evaluate_policy(UniformPolicy(4), name, precision=0.1, seed=seed)
        assert result.expected_return is not None
        reached = result.expected_return.half_width / result.expected_return.mean
        assert reached < 0.13
        told = any("precision reached" in note for note in result.notes)
        assert told == (reached > 0.1)


def test_precision_never_stops_on_zero_variance() -> None:
    """All returns of the pilot are equal: the cap is played, and the result says so."""
    result = evaluate_policy(TabularPolicy(np.eye(4)[[1, 1, 1]]), OneWay(), precision=0.02)
    assert result.episodes == MAX_EPISODES
    assert any(f"the cap of {MAX_EPISODES}" in note for note in result.notes)


def test_a_cap_that_was_hit_is_told(maps: Path) -> None:
    result = evaluate_policy(UniformPolicy(4), str(maps / "rare.txt"), precision=0.001)
    assert result.episodes == MAX_EPISODES
    assert any(f"stopped at the cap of {MAX_EPISODES}" in note for note in result.notes)


class OneWay(gym.Env[Any, Any]):
    """Three steps to the end, or a number given; no model is known of it."""

    def __init__(self, length: int = 3) -> None:
        self.observation_space = gym.spaces.Discrete(3)
        self.action_space = gym.spaces.Discrete(4)
        self._length, self._taken = length, 0

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> Any:
        del seed, options
        self._taken = 0
        return 0, {}

    def step(self, action: Any) -> Any:
        del action
        self._taken += 1
        return min(self._taken, 2), 1.0, self._taken == self._length, False, {}


def test_raw_numbers_of_a_known_episode() -> None:
    result = evaluate_policy(UniformPolicy(4), OneWay(), episodes=5, discount=0.5)
    plain = result.as_dict()
    assert plain["expected_return"]["mean"] == 3
    assert plain["average_reward"]["mean"] == 1
    assert plain["discounted_return"]["mean"] == 1.75
    assert plain["episode_length"]["mean"] == 3
    assert plain["truncated"] == 0
    assert plain["exact"] is None
    assert (plain["episodes"], plain["steps"]) == (5, 15)


def test_episodes_without_end_are_cut_and_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gridcade.evaluation.evaluate.LONGEST_EPISODE", 50)
    result = evaluate_policy(UniformPolicy(4), OneWay(length=10**9), episodes=3)
    assert result.truncated == 1
    assert result.steps == 150
    assert "episodes were cut after 50 steps" in result.notes


def test_truncated_share_counts_what_the_limit_cut(maps: Path) -> None:
    name = str(maps / "limited.txt")
    result = evaluate_policy(UniformPolicy(4), name, episodes=500)
    envs = make_vector(name, 16)
    player = EpisodeRunner(envs, Actor(UniformPolicy(4), registry.make(name), 0.0, True), 0.99, 8)
    played = player.play(500, 0, "evaluation")
    assert result.truncated == played.truncated.mean()
    assert 0.5 < played.truncated.mean() < 1
    assert (played.lengths[played.truncated] == 8).all()


def test_continuing_tasks_have_a_gain_and_no_return() -> None:
    result = evaluate_policy(UniformPolicy(2), "RiverSwim", steps=20_000)
    plain = result.as_dict()
    for key in ("expected_return", "episode_length", "truncated", "episodes"):
        assert plain[key] is None, key
    assert plain["discounted_return"]["low"] < plain["discounted_return"]["high"]
    short = evaluate_policy(UniformPolicy(2), "RiverSwim", steps=1000)
    assert short.discounted_return is None  # too short to tell
    assert plain["steps"] == 20_000
    assert plain["exact"]["expected_return"] is None
    assert plain["exact"]["gap_return"] is None
    assert plain["exact"]["optimal_average_reward"] == pytest.approx(0.42862, abs=1e-5)
    estimate = result.average_reward
    assert abs(estimate.mean - plain["exact"]["average_reward"]) < 5 * estimate.half_width / 1.96
    with pytest.raises(InputError, match="has no episodes: ask for --steps"):
        evaluate_policy(UniformPolicy(2), "RiverSwim", episodes=3)
    with pytest.raises(InputError, match="has no episodes: ask for --steps"):
        evaluate_policy(UniformPolicy(2), "RiverSwim", precision=0.1)
    with pytest.raises(InputError, match="it takes no time limit"):
        evaluate_policy(UniformPolicy(2), "RiverSwim?max_episode_steps=9", steps=1000)


def test_an_endless_policy_has_no_infinite_numbers_in_json() -> None:
    """Always up: without the limit its episodes never end."""
    result = evaluate_policy(
        TabularPolicy(np.eye(4)[np.zeros(38, dtype=int)]), "CliffWalk", episodes=2
    )
    assert result.exact is not None
    assert result.exact.unlimited_return == -np.inf
    plain = result.as_dict()
    assert plain["exact"]["unlimited_return"] is None
    assert plain["exact"]["gap_return"] is None
    assert "without the time limit an episode of this policy may never end" in result.notes


class Predictor:
    """A policy as stable-baselines3 has them: predict alone, and a state that counts its calls."""

    def __init__(self, remember: bool):
        self._remember = remember
        self.starts: list[NDArray[np.bool_]] = []

    def predict(
        self,
        observation: Any,
        state: Any = None,
        episode_start: Any = None,
        deterministic: bool = False,
    ) -> tuple[Any, Any]:
        del state, deterministic
        self.starts.append(np.array(episode_start))
        return np.ones(len(observation), dtype=np.int64), (0 if self._remember else None)


def test_a_policy_is_anything_that_predicts() -> None:
    """Exact values too, by asking it in every state; but not if it remembers."""
    plain = evaluate_policy(Predictor(remember=False), "RussellNorvig4x3", episodes=30)
    assert plain.exact is not None
    table = np.eye(4)[np.ones(11, dtype=int)]
    model, limit = known("RussellNorvig4x3")
    expected = solver.policy_value(model, table, 0.99, limit).expected_return
    assert plain.exact.expected_return == expected
    remembering = Predictor(remember=True)
    result = evaluate_policy(remembering, "RussellNorvig4x3", episodes=30)
    assert result.exact is None
    assert "no exact value: this policy does not tell its action probabilities" in result.notes
    starts = np.concatenate([told for told in remembering.starts if len(told) == ENVS])
    assert 20 <= starts.sum() - ENVS < (len(starts) - ENVS) / 2  # after the first ones


def test_a_policy_that_draws_within_itself_has_no_exact_value() -> None:
    class Drawing(Predictor):
        rng = np.random.default_rng(0)

        def predict(self, observation: Any, *given: Any, **more: Any) -> tuple[Any, Any]:
            _, state = super().predict(observation, *given, **more)
            return self.rng.integers(4, size=len(observation)), state

    result = evaluate_policy(Drawing(remember=False), "DynaMaze?time_limit=50", episodes=10)
    assert result.exact is None
    assert "no exact value: this policy does not tell its action probabilities" in result.notes


def test_the_cut_of_what_has_no_limit_is_allowed_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From one start in a hundred a policy goes nowhere for ever: of 100 episodes maybe none."""
    monkeypatch.setattr(evaluate, "LONGEST_EPISODE", 1000)
    file = tmp_path / "rare.txt"
    file.write_text(f"time limit: none\nmap:\n{'S' * 99}G\n{'#' * 99}#\nS{'#' * 99}")
    model, limit = known(str(file))
    assert limit is None
    right = TabularPolicy(np.eye(4)[np.ones(model.num_states, dtype=int)])
    seeds = range(10)
    found = [evaluate_policy(right, str(file), episodes=100, seed=seed) for seed in seeds]
    unlucky = [r for r in found if r.truncated == 0]
    assert 0 < len(unlucky) < len(found)
    # as played: 99 of 100 episodes of 1 to 99 steps pay 1, the others are cut at 1,000
    truth = 0.99 / (0.99 * 50 + 0.01 * 1000)
    for result in unlucky:
        assert result.average_reward.low < truth < result.average_reward.high
    for result in found:
        cut = "episodes were cut after 1000 steps" in result.notes
        assert cut == (result.truncated != 0)
    limited = evaluate_policy(right, f"{file}?time_limit=1500", episodes=300)
    assert limited.truncated
    assert not [note for note in limited.notes if "cut" in note]


def test_pixels_have_exact_values_as_well() -> None:
    class Pixels(UniformPolicy):
        def probabilities(self, observations: Any, deterministic: bool = True) -> Any:
            assert observations.shape[1:] == (24, 24, 3)
            return super().probabilities(observations, deterministic)

    name = "RussellNorvig4x3?observation=pixels&pixels=24"
    result = evaluate_policy(Pixels(4), name, episodes=5)
    state = evaluate_policy(UniformPolicy(4), "RussellNorvig4x3", episodes=5)
    assert result.exact == state.exact


def test_epsilon_is_mixed_into_what_only_predicts() -> None:
    greedy = evaluate_policy(Predictor(remember=False), "CliffWalk?time_limit=30", episodes=400)
    mixed = evaluate_policy(
        Predictor(remember=False), "CliffWalk?time_limit=30", episodes=400, epsilon=0.3
    )
    for result in (greedy, mixed):
        assert result.exact is not None
        assert result.expected_return is not None
        gap = abs(result.expected_return.mean - float(result.exact.expected_return or 0))
        assert gap <= 5 * max(result.expected_return.half_width, 1e-9) / 1.96
    assert greedy.exact != mixed.exact


@pytest.mark.parametrize("env", ["FrozenLake-v1", "CliffWalking-v1", "Taxi-v4", "FourRooms"])
def test_the_optimal_policy_has_no_gap(env: str) -> None:
    single = registry.make(env)
    result = evaluate_policy(optimal_policy(single), env, episodes=5)
    assert result.exact is not None
    assert result.exact.gap_return == 0
    worse = evaluate_policy(random_policy(single), env, episodes=5)
    assert worse.exact is not None
    assert worse.exact.gap_average_reward > 0


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"episodes": 0}, "episodes is 0"),
        ({"steps": -5}, "steps is -5"),
        ({"precision": 0.0}, "precision is 0.0"),
        ({"precision": 1.5}, "precision is 1.5"),
        ({"episodes": 3, "steps": 5}, "give one of them"),
        ({"epsilon": 1.2}, "epsilon is 1.2"),
        ({"confidence": 1.0}, "confidence is 1.0"),
        ({"discount": 1.0}, "discount is 1.0"),
        ({"seed": -1}, "seed is -1"),
    ],
)
def test_wrong_arguments_are_told(wrong: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        evaluate_policy(UniformPolicy(4), "FourRooms", **wrong)


def test_what_is_no_policy_or_environment_is_told() -> None:
    nothing: Any = 3
    with pytest.raises(InputError, match="a policy has predict"):
        evaluate_policy(nothing, "FourRooms")
    with pytest.raises(InputError, match="a name or a Gymnasium environment"):
        evaluate_policy(UniformPolicy(4), nothing)
