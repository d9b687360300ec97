"""Q-learning on a world whose model is known, compiled: tens of millions of updates a second.

The same `choose` and `learn` as everywhere, without Gymnasium between them: the one exception to
the loop in gridcade.experience.loop.
"""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gridcade.agents.q_learning import QLearning, QLearningConfig, draw, run
from gridcade.envs.tabular import Model
from gridcade.experience.step import TOTALS
from gridcade.seeding import pack, stream, unpack

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


def model_arrays(model: Model) -> tuple[Any, ...]:
    """A model as `run` takes it."""
    return (
        model.offsets,
        model.next_states,
        model.cumulative,
        model.rewards,
        model.terminated,
        model.start_cumulative,
    )


class CompiledLoop:
    """One agent on one world with a known model, compiled: the same update, without Gymnasium.

    The world draws from one stream through all its episodes. (gridcade.experience.loop, which takes any
    environment, gives each episode a seed instead: this is the one exception, for speed.)

    Args:
        agent: the agent.
        model: the world.
        limit: the time limit in steps; None: none.
        seed: of the world's random stream.
    """

    tick = 100_000  # steps between two looks at the clock

    def __init__(self, agent: QLearning, model: Model, limit: int | None, seed: int):
        self.agent = agent
        self._model = model_arrays(model)
        self._limit = limit or 0
        self._rng = stream(seed, "training")
        start = draw(model.start_cumulative, 0, model.num_states, self._rng.random())
        self._place: Ints = np.array([0, start, 0])
        self._returned: Floats = np.zeros(1)
        self.advance(agent.steps)  # no step: compiles, so that clocks measure learning

    def advance(self, until: int) -> dict[str, float]:
        """Learn until an absolute step; sums over what happened, by the names of TOTALS."""
        totals = np.zeros(len(TOTALS))
        self._place[0] = self.agent.steps
        run(
            self.agent.q,
            self.agent.visits,
            self.agent.rate,
            self.agent.numbers,
            self._model,
            self._limit,
            self._place,
            self._returned,
            self.agent.rng,
            self._rng,
            until,
            totals,
        )
        self.agent.steps = int(self._place[0])
        return dict(zip(TOTALS, totals.tolist(), strict=True))

    def state_dict(self) -> dict[str, NDArray[Any]]:
        """Where the world stands, and its stream."""
        return {
            "place": self._place,
            "returned": self._returned,
            "world_stream": pack(self._rng),
        }

    def load_state_dict(self, tensors: dict[str, NDArray[Any]]) -> None:
        """Put back what `state_dict` gave."""
        self._place[:] = tensors["place"]
        self._returned[:] = tensors["returned"]
        unpack(self._rng, tensors["world_stream"])

    def position(self) -> dict[str, Any]:
        """Nothing besides the tensors."""
        return {}

    def restore(self, position: dict[str, Any]) -> None:
        """Nothing besides the tensors."""


def train_many(
    model: Model,
    config: QLearningConfig,
    seeds: Sequence[int],
    steps: int,
    windows: int = 50,
    limit: int | None = None,
    threads: int = 2,
) -> tuple[Floats, dict[str, Floats]]:
    """Train one agent for each seed, all on one world, on several threads.

    Args:
        model: the world.
        config: hyperparameters, the same for all.
        seeds: one an agent.
        steps: of each agent.
        windows: stretches of equal length, over which learning curves are taken.
        limit: steps after which an episode is cut; None: none.
        threads: run at once.

    Returns:
        Action values [seeds, states, actions], and by the names of TOTALS the sums over each
        window [seeds, windows].
    """
    values = np.empty((len(seeds), model.num_states, model.num_actions))
    curves = np.empty((len(seeds), windows, len(TOTALS)))

    def train(i: int) -> None:
        agent = QLearning(model.num_states, model.num_actions, config, seeds[i])
        loop = CompiledLoop(agent, model, limit, seeds[i])
        for w in range(windows):
            totals = loop.advance(steps * (w + 1) // windows)
            curves[i, w] = [totals[name] for name in TOTALS]
        values[i] = agent.q

    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(train, range(len(seeds))))
    return values, {name: curves[:, :, k] for k, name in enumerate(TOTALS)}
