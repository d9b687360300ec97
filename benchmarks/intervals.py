"""Measure how often intervals cover the exact value, and how often verdicts are false.

    python benchmarks/intervals.py continuing    # average rewards of continuing tasks
    python benchmarks/intervals.py seeds         # verdicts on scores that take two values

The first command simulates; the second computes its shares by enumeration.
"""

import argparse
import warnings
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from gridcade.agents.compiled import compiled
from gridcade.agents.tabular_loop import World, make_world, sample_index, world_step
from gridcade.api import make, solve
from gridcade.envs import registry
from gridcade.envs.tabular import Model
from gridcade.evaluation.cycles import Streams, average_reward_of_streams, regeneration_state
from gridcade.evaluation.streams import STREAMS
from gridcade.exact.chains import possible_outcomes
from gridcade.exact.solver import policy_value
from gridcade.study.seed_statistics import MeanScore, difference

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Table = list[list[list[tuple[float, int, float, bool]]]]

BUDGETS = (200, 500, 1_000, 2_000, 5_000, 20_000, 100_000)  # total steps of all streams
SIMULATED_STEPS = 20_000_000  # at most, of all replications with one budget
MAX_REPLICATIONS = 1_000
ROUNDING = 1e-12
SHARES = np.linspace(0.01, 0.99, 99)  # probabilities of the higher of two scores


def chains() -> Iterator[tuple[str, Model, Floats]]:
    """Yield continuing tasks, each with a policy: name, model, probabilities [states, actions]."""
    for env in ("NearAndFar", "RiverSwim"):
        model = registry.known_model(make(env))
        assert model is not None
        shape = model.num_states, model.num_actions
        yield f"{env}, optimal", model, solve(env, "average-reward").policy
        yield f"{env}, random", model, np.full(shape, 1 / model.num_actions)
    for length in (7, 40):
        for stay in (0.0, 0.03):
            name = f"cycle of {length}" + (f", staying with {stay:g}" if stay else "")
            yield name, cycle(length, stay), np.ones((length, 1))
    rng = np.random.default_rng(5)
    for size, concentration in ((5, 1.0), (10, 0.3), (20, 0.05), (100, 0.1)):
        name = f"random, {size} states, Dirichlet({concentration:g})"
        yield name, random_chain(rng, size, concentration), np.ones((size, 1))


def cycle(length: int, stay: float) -> Model:
    """Make a cycle of states with rewards in two of them; a step stays with probability `stay`."""
    table: Table = [[[(1 - stay, (s + 1) % length, 0.0, False)]] for s in range(length)]
    if stay:
        table = [[[*row[0], (stay, s, 0.0, False)]] for s, row in enumerate(table)]
    for s, reward in ((2, 2.0), (length - 1, 1.0)):
        table[s][0] = [(p, n, reward, e) for p, n, _, e in table[s][0]]
    return Model.from_table(as_dict(table), np.eye(length)[0])


def random_chain(rng: np.random.Generator, size: int, concentration: float) -> Model:
    """Make a chain with random transitions and normally distributed rewards."""
    matrix = 0.999 * rng.dirichlet(np.full(size, concentration), size) + 0.001 / size
    table: Table = [
        [[(float(p), n, float(rng.normal()), False) for n, p in enumerate(row)]] for row in matrix
    ]
    return Model.from_table(as_dict(table), np.eye(size)[0])


def as_dict(table: Table) -> dict[int, dict[int, list[tuple[float, int, float, bool]]]]:
    """Convert a table of lists to one of dicts."""
    return {s: dict(enumerate(actions)) for s, actions in enumerate(table)}


@compiled
def play(world: World, cumulative: Floats, rewards: Floats, states: Ints) -> None:
    """Play one stream from the world's state, and fill `rewards` and `states`.

    `cumulative` holds the cumulative action probabilities, [states, actions].
    """
    for t in range(len(rewards)):
        s = world.state[0]
        states[t] = s
        a = sample_index(cumulative[s], 0, cumulative.shape[1], world.rng.random())
        rewards[t] = world_step(world, s, a).r
    states[len(rewards)] = world.state[0]


def play_streams(
    model: Model, cumulative: Floats, length: int, rng: np.random.Generator
) -> Streams:
    """Simulate the streams of `gridcade.evaluation.streams.play_streams`, in compiled code."""
    rewards = np.empty((STREAMS, 2 * length))
    states = np.empty((STREAMS, 2 * length + 1), dtype=np.int64)
    for i in range(STREAMS):
        play(make_world(model, None, rng), cumulative, rewards[i], states[i])
    later = states[:, length:] == regeneration_state(states[:, :length])
    steps = length + (int(later.argmax(axis=1).max()) if later.any(axis=1).all() else length)
    return Streams(rewards[:, :steps], states[:, : steps + 1], length)


def continuing() -> None:
    """Print the share of intervals that cover, and the share of samples without an interval."""
    print("| chain | " + " | ".join(f"{budget:,}" for budget in BUDGETS) + " |")
    print("| --- |" + " --- |" * len(BUDGETS))
    for name, model, table in chains():
        truth = policy_value(model, table).average_reward
        cumulative, outcomes = table.cumsum(axis=1), possible_outcomes(model, table)
        rng, cells = np.random.default_rng(0), []
        for budget in BUDGETS:
            replications = min(MAX_REPLICATIONS, SIMULATED_STEPS // budget)
            covered, given = 0, 0
            for _ in range(replications):
                streams = play_streams(model, cumulative, budget // STREAMS, rng)
                estimate, _ = average_reward_of_streams(streams, 0.95, outcomes)
                if np.isfinite(estimate.half_width):
                    slack = ROUNDING * abs(truth)
                    given += 1
                    covered += estimate.low - slack <= truth <= estimate.high + slack
            refused = f"{100 * (1 - given / replications):.0f} %"
            cells.append(f"{100 * covered / given:.1f} ({refused})" if given else f"- ({refused})")
        print(f"| {name} | " + " | ".join(cells) + " |", flush=True)


def false_verdicts(found: NDArray[np.bool_], seeds: int, scores: list[MeanScore]) -> list[float]:
    """Return the largest shares of false verdicts over SHARES, for three comparisons.

    A contender whose runs score 1 with a probability and else 0 is compared with another one that
    has the same probability, with a fixed policy whose score is the probability, and with a
    contender all of whose runs have this score.

    Args:
        found: whether the difference of two contenders is significant, indexed by the number of
            runs with score 1 of each, [seeds + 1, seeds + 1].
        seeds: number of seeds of each contender.
        scores: mean score, indexed by the number of runs with score 1, [seeds + 1].
    """
    same, fixed, constant = [], [], []
    for share, weights in zip(SHARES, weights_of(seeds), strict=True):
        same.append(float(weights @ found @ weights))
        against = MeanScore.exact(float(share))
        fixed.append(float(weights @ [is_false(s, against, share) for s in scores]))
        other = MeanScore.from_seeds([share] * seeds)
        constant.append(float(weights @ [is_false(s, other, share) for s in scores]))
    return [max(same), max(fixed), max(constant)]


def is_false(score: MeanScore, other: MeanScore, share: float) -> bool:
    """Return whether a verdict is false; runs score 1 with the probability `share`, and else 0.

    The score of the other side is `share`, so the means do not differ. But if `share` is above (or
    below) a half, a run is more likely to score higher (or lower) than the other side, and a sign
    test may rightly say so.
    """
    verdict = difference(score, other, 0.95)
    states_most = verdict.estimate.method == "sign test"
    is_true = states_most and share != 0.5 and (verdict.estimate.mean > 0) == (share > 0.5)
    return verdict.p_value <= 0.05 and not is_true


def weights_of(seeds: int) -> list[Floats]:
    """Return, for each of SHARES, the probabilities of 0 to `seeds` runs with score 1."""
    return [np.asarray(stats.binom.pmf(np.arange(seeds + 1), seeds, share)) for share in SHARES]


def welch(runs: list[list[float]]) -> NDArray[np.bool_]:
    """Return whether Welch's t-test alone is significant, for each pair of contenders."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # SciPy warns if all scores are equal
        tests = [[stats.ttest_ind(a, b, equal_var=False)[1] for b in runs] for a in runs]
    return np.array(tests) <= 0.05


def seeds() -> None:
    """Print the largest shares of false verdicts, also those of Welch's t-test alone."""
    print("| seeds | two contenders | fixed policy | constant contender | Welch, two contenders |")
    print("| --- | --- | --- | --- | --- |")
    for count in (3, 5, 7, 10, 20):
        runs = [[1.0] * high + [0.0] * (count - high) for high in range(count + 1)]
        scores = [MeanScore.from_seeds(r) for r in runs]
        found = np.array([[difference(a, b, 0.95).p_value <= 0.05 for b in scores] for a in scores])
        alone = max(float(w @ welch(runs) @ w) for w in weights_of(count))
        cells = [f"{100 * value:.1f} %" for value in (*false_verdicts(found, count, scores), alone)]
        print(f"| {count} | " + " | ".join(cells) + " |", flush=True)


TABLES = {"continuing": continuing, "seeds": seeds}


def main() -> None:
    """Print the table that the argument names."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("table", choices=TABLES)
    TABLES[parser.parse_args().table]()


if __name__ == "__main__":
    main()
