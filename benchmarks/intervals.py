"""How often intervals cover the truth, and how often verdicts are false, by simulation.

    python benchmarks/intervals.py continuing    # average rewards of continuing tasks
    python benchmarks/intervals.py seeds         # verdicts of a comparison with few or equal scores

Each table states the number of replications.
"""

import argparse
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from gridcade.agents.compiled import compiled
from gridcade.agents.tabular_loop import World, make_world, sample_index, world_step
from gridcade.api import make, solve
from gridcade.envs import registry
from gridcade.envs.tabular import Model
from gridcade.evaluation.cycles import Streams, average_reward_of_streams, regeneration_state
from gridcade.evaluation.streams import STREAMS
from gridcade.exact.chains import possible_outcomes
from gridcade.exact.solver import policy_value

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Table = list[list[list[tuple[float, int, float, bool]]]]

BUDGETS = (200, 500, 1_000, 2_000, 5_000, 20_000, 100_000)  # steps of all streams together
SIMULATED_STEPS = 20_000_000  # of all replications with one budget
MAX_REPLICATIONS = 1_000
ROUNDING = 1e-12


def chains() -> Iterator[tuple[str, Model, Floats]]:
    """Yield continuing tasks with a policy each: a name, the model, and action probabilities."""
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
    """A cycle of states that pays in two of them; each step stays with a probability."""
    table: Table = [[[(1 - stay, (s + 1) % length, 0.0, False)]] for s in range(length)]
    if stay:
        table = [[[*row[0], (stay, s, 0.0, False)]] for s, row in enumerate(table)]
    for s, reward in ((2, 2.0), (length - 1, 1.0)):
        table[s][0] = [(p, n, reward, e) for p, n, _, e in table[s][0]]
    return Model.from_table(as_dict(table), np.eye(length)[0])


def random_chain(rng: np.random.Generator, size: int, concentration: float) -> Model:
    """A chain with random transitions and normally distributed rewards."""
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
    """Play one stream from the world's state, by cumulative action probabilities."""
    for t in range(len(rewards)):
        s = world.state[0]
        states[t] = s
        a = sample_index(cumulative[s], 0, cumulative.shape[1], world.rng.random())
        rewards[t] = world_step(world, s, a).r
    states[len(rewards)] = world.state[0]


def play_streams(
    model: Model, cumulative: Floats, length: int, rng: np.random.Generator
) -> Streams:
    """Simulate what `gridcade.evaluation.streams.play_streams` plays."""
    rewards = np.empty((STREAMS, 2 * length))
    states = np.empty((STREAMS, 2 * length + 1), dtype=np.int64)
    for i in range(STREAMS):
        play(make_world(model, None, rng), cumulative, rewards[i], states[i])
    later = states[:, length:] == regeneration_state(states[:, :length])
    steps = length + (int(later.argmax(axis=1).max()) if later.any(axis=1).all() else length)
    return Streams(rewards[:, :steps], states[:, : steps + 1], length)


def continuing() -> None:
    """Print a table: share of intervals that cover, and share of samples without an interval."""
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


TABLES = {"continuing": continuing}


def main() -> None:
    """Print the table that the arguments name."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("table", choices=TABLES)
    TABLES[parser.parse_args().table]()


if __name__ == "__main__":
    main()
