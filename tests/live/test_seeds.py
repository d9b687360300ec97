"""The seeds of a lane: each learner is that of its seed; statistics are those of a study."""

import math
import time

import numpy as np
import pytest

from gridcade.errors import InputError
from gridcade.exact import solver
from gridcade.live.world import seeds
from gridcade.live.world.exact_answer import MEASURES
from gridcade.live.world.lane import Lane
from gridcade.live.world.lane_seeds import LaneSeeds
from gridcade.live.world.learners import open_learner
from gridcade.live.world.messages import Compare, Edit, Open
from gridcade.live.world.seeds import SEEDS, SeedRuns, band, comparison, step_counts
from gridcade.study.seed_statistics import seed_interval

MAP = "slip: 0.1\nmap:\nS...\n.##.\n...G"


def lane(**parameters: str) -> Lane:
    return Lane(Open(world="mine", map=MAP, agent="q-learning", parameters=parameters))


@pytest.fixture
def few_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(seeds, "FEWEST_STEPS", 1000)


def test_all_lanes_count_the_same_steps() -> None:
    counts = step_counts(0)
    assert (counts[:4], counts[-1], len(counts)) == ([10, 18, 32, 56], 100_000, 17)
    longer = step_counts(100_001)
    assert longer[: len(counts)] == counts
    assert longer[-1] == 177_828
    assert step_counts(10**9)[-1] == 10_000_000


@pytest.mark.usefixtures("few_steps")
def test_each_learner_is_that_of_its_seed() -> None:
    """Each seed learns in the edited world, and its policy is evaluated exactly."""
    lane_ = lane(epsilon="0.3")
    lane_.edit(Edit(cells=[(0, 2, "#")]))
    runs = lane_.run_seeds()
    runs.join()
    assert not runs.is_running
    assert (len(runs.scores), runs.counts[-1]) == (9, 1000)
    for seed in (0, 17):
        learner = open_learner("q-learning", lane_.place, {"epsilon": "0.3"}, seed)
        for count, scores in zip(runs.counts, runs.scores, strict=True):
            learner.advance(count - learner.steps)
            value = solver.policy_value(lane_.place.model, learner.policy, 0.99)
            assert scores["average_reward"][seed] == value.average_reward
            assert scores["expected_return"][seed] == value.expected_return
            assert scores["discounted_return"][seed] == value.discounted_return
    message = runs.message()
    estimate = seed_interval(np.array(runs.scores[-1]["discounted_return"]), 0.95)
    assert message["bands"]["discounted_return"]["mean"][-1] == estimate.mean
    assert message["steps"] == runs.counts


def test_a_band_ends_at_the_optimum_and_needs_finite_values_that_differ() -> None:
    scores = [0.9] * 29 + [0.1]
    assert band(scores, 0.9)["high"] == 0.9
    high = band(scores, None)["high"]
    assert high is not None
    assert high > 0.9
    assert band([0.5] * 30, 1.0) == {"mean": 0.5, "low": None, "high": None}
    assert band([0.5, -math.inf], 1.0)["mean"] is None
    assert band([None, None], None)["mean"] is None


def test_only_differences_that_chance_does_not_explain_are_significant() -> None:
    rng = np.random.default_rng(0)
    low, same, high = (rng.normal(mean, 1, SEEDS).tolist() for mean in (0, 0, 2))
    text = comparison(high, low, 100_000, "average_reward")
    assert "At 100,000 steps, the mean average reward of lane 1 minus that of lane 2 is" in text
    assert "is significant (Welch’s t-test, 30 and 30 seeds, p < 0.001)" in text
    assert "is not significant: it may be chance" in comparison(low, same, 10, "average_reward")
    assert "sign test" in comparison([1.0] * 30, [0.0] * 30, 10, "average_reward")
    assert "no finite expected return" in comparison(low, [-math.inf], 10, "expected_return")
    with pytest.raises(InputError, match="two seeds or more"):
        comparison(low, [1.0], 10, "average_reward")


def test_planners_have_no_seeds() -> None:
    with pytest.raises(InputError, match="no random numbers"):
        Lane(Open(world="mine", map=MAP, agent="value-iteration")).run_seeds()


def test_seeds_can_be_cancelled() -> None:
    lane_ = lane()
    lane_.advance(10_000_000)
    lane_seeds = LaneSeeds()
    assert lane_seeds.news() is None
    lane_seeds.start(lane_)
    assert lane_seeds.has_news
    assert lane_seeds.news() is not None
    started = time.monotonic()
    lane_seeds.drop()
    assert time.monotonic() - started < 5
    assert not lane_seeds.has_news
    request = Compare(steps=10, measure="average_reward", scores=[1.0, 2.0])
    with pytest.raises(InputError, match="no scores at 10 steps"):
        lane_seeds.comparison_message(request)


@pytest.mark.usefixtures("few_steps")
def test_each_distinct_policy_is_evaluated_once(monkeypatch: pytest.MonkeyPatch) -> None:
    evaluated: list[bytes] = []
    exact = solver.policy_value
    place = lane().place

    def count(model: object, policy: seeds.Floats, discount: float) -> solver.PolicyValue:
        del model
        evaluated.append(policy.tobytes())
        return exact(place.model, policy, discount)

    monkeypatch.setattr(solver, "policy_value", count)
    runs = SeedRuns(
        lambda seed: open_learner("q-learning", place, {}, seed),
        place.model,
        0.99,
        dict.fromkeys(MEASURES),
        0,
    )
    runs.join()
    assert len(evaluated) == len(set(evaluated)) < SEEDS * len(runs.counts)
