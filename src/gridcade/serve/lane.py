"""One lane of the live page: a tabular learner in a world, and what the page shows of it."""

import math
from collections import deque
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import cache
from typing import Any, Literal, get_args, get_origin, get_type_hints

import gymnasium as gym
import numpy as np
from numpy.typing import NDArray

from gridcade import agents
from gridcade.agents.q_learning import QLearning, QLearningConfig
from gridcade.agents.tabular_loop import TabularLoop, UpdateTerms
from gridcade.envs import registry
from gridcade.envs.gridworld import GridWorld, grid_model
from gridcade.envs.map_writer import world_text
from gridcade.envs.maps import FOUR_MOVES, STEPS_PER_CELL, World, parse_world
from gridcade.envs.rendering import Moves
from gridcade.envs.tabular import Model, TabularEnv
from gridcade.errors import InputError, unknown
from gridcade.exact import solver
from gridcade.exact.action_values import action_values, optimal_actions
from gridcade.exact.chains import reachable_states
from gridcade.field_docs import field_docs
from gridcade.serve.messages import Edit, Open, Settings, encode
from gridcade.study.brackets import read_changes
from gridcade.training.config import read_recipe, to_dict

Floats = NDArray[np.float64]
Table = dict[str, Any]

LEARNERS = ("q-learning",)  # agents that a lane can run
MAX_STATES = 5_000
LARGEST_ARGUMENTS = {"size": 35, "length": 1_000}  # of shipped worlds, to bound the time to draw
MAX_UNDO = 100  # edits that can be taken back
PATH_LENGTH = 200  # states of the present episode that are shown
LONGEST_EPISODE = 100_000  # steps that `finish_episode` takes at most
FOLLOWED_STEPS = 20  # so many steps between two pictures are followed one by one, for the path


@dataclass(frozen=True)
class Place:
    """A world with its model, as a lane needs it."""

    name: str
    world: World
    model: Model
    moves: Moves
    editable: bool  # whether it is drawn in text

    @classmethod
    def find(cls, request: Open) -> "Place":
        """Read the map of a request, or find a shipped world by its name.

        Raises:
            InputError: the map has a mistake, there is no such world, or it is too large.
        """
        if request.map is not None:
            place = cls.drawn(request.world, parse_world(request.map, request.world))
        else:
            base = request.world.partition("?")[0]
            if base not in world_names():
                raise unknown("world", base, world_names())
            for argument, value in registry.parse(request.world)[1].items():
                limit = LARGEST_ARGUMENTS.get(argument, math.inf)
                if isinstance(value, int | float) and value > limit:
                    raise InputError(f"{argument} is {value}; the live page shows up to {limit:g}")
            env = registry.make(request.world).unwrapped
            assert isinstance(env, TabularEnv)  # noqa: S101 - for the type checker
            editable = isinstance(env, GridWorld)
            place = cls(request.world, env.world, env.model, env.moves, editable)
        if place.model.num_states > MAX_STATES:
            raise InputError(
                f"{request.world} has {place.model.num_states:,} states; the live page shows up to "
                f"{MAX_STATES:,}"
            )
        return place

    @classmethod
    def drawn(cls, name: str, world: World) -> "Place":
        """A world that is drawn in text."""
        return cls(name, world, grid_model(world), FOUR_MOVES, editable=True)


class Lane:
    """A learner in a world, which can be edited while it learns.

    Args:
        request: names the world and the learner.

    Raises:
        InputError: the request names something that does not exist, or a value is invalid.
    """

    def __init__(self, request: Open):
        if request.agent not in LEARNERS:
            raise unknown("learner", request.agent, LEARNERS)
        self.place = Place.find(request)
        changes = ",".join(f"{name}={text}" for name, text in request.parameters.items())
        kind = agents.find(request.agent)
        table = read_changes(changes, kind, request.agent) if changes else {}
        states = gym.spaces.Discrete(self.place.model.num_states)
        config = read_recipe(kind, kind.preset_for(states), overlay=table).hyperparameters
        assert isinstance(config, QLearningConfig)  # noqa: S101 - for the type checker
        self.config, self._seed = config, request.seed
        model = self.place.model
        self.agent = QLearning(model.num_states, model.num_actions, config, request.seed)
        self.loop = self._start_loop()
        self._episodes = 0
        self._path: deque[int] = deque([self.loop.state], PATH_LENGTH)
        self._undo: deque[World] = deque(maxlen=MAX_UNDO)
        self._solve()

    # ---- learning

    def advance(self, steps: int) -> None:
        """Learn from a number of steps."""
        if steps > FOLLOWED_STEPS:
            self._count(self.loop.advance(self.agent.steps + steps))
            self._path = deque([self.loop.state], PATH_LENGTH)
            return
        for _ in range(steps):
            self._count(self.loop.advance(self.agent.steps + 1))

    def step(self) -> UpdateTerms:
        """Learn from one step, and return the terms of its update."""
        terms = self.loop.step()
        self._count({"episodes": float(self.loop.elapsed == 0)})
        return terms

    def finish_episode(self) -> UpdateTerms:
        """Learn to the end of the episode, and return the terms of the last update."""
        episodes, end = self._episodes, self.agent.steps + LONGEST_EPISODE
        terms = self.step()
        while self._episodes == episodes and self.agent.steps < end:
            terms = self.step()
        return terms

    def _count(self, totals: dict[str, float]) -> None:
        """Count episodes, and follow the path of the present one."""
        if totals["episodes"]:
            self._episodes += int(totals["episodes"])
            self._path.clear()
        self._path.append(self.loop.state)

    def _start_loop(self) -> TabularLoop:
        return self.agent.compiled_loop(self.place.model, self._time_limit(), self._seed)

    def _time_limit(self) -> int | None:
        world = self.place.world
        if self.place.model.continuing:
            return None
        return world.time_limit or STEPS_PER_CELL * self.place.model.num_states

    # ---- editing

    def edit(self, request: Edit) -> None:
        """Draw into the map.

        Raises:
            InputError: the world is not drawn, a cell or symbol does not exist, or the world would
                have no start.
        """
        rows = [list(row) for row in self._drawing().rows]
        legend = self.place.world.legend
        for row, column, symbol in request.cells:
            if not (0 <= row < len(rows) and 0 <= column < len(rows[0])):
                raise InputError(f"row {row}, column {column} lies outside the world")
            if symbol not in legend:
                raise unknown("symbol", symbol, legend)
            rows[row][column] = symbol
        self._change(replace(self.place.world, rows=tuple("".join(row) for row in rows)))

    def change_settings(self, request: Settings) -> None:
        """Change settings of the world; see `edit` for the errors."""
        given = {name: getattr(request, name) for name in ("slip", "stray", "step_reward")}
        world = replace(self._drawing(), **{k: v for k, v in given.items() if v is not None})
        if world.slip + world.stray > 1:
            raise InputError(f"slip + stray is {world.slip + world.stray:g}; it must be 1 or less")
        self._change(world)

    def undo(self) -> None:
        """Take back the last change.

        Raises:
            InputError: nothing was changed.
        """
        if not self._undo:
            raise InputError("there is nothing to undo")
        self._enter(self._undo.pop())

    def map_text(self) -> str:
        """The world as a map file; InputError if it is not drawn in text."""
        return world_text(self._drawing())

    def _drawing(self) -> World:
        if not self.place.editable:
            raise InputError(f"{self.place.name} is not drawn in text and cannot be edited")
        return self.place.world

    def _change(self, world: World) -> None:
        """Enter a changed world, which `undo` can leave."""
        symbols = {symbol for row in world.rows for symbol in row}
        if not any(world.legend[symbol].start for symbol in symbols):
            raise InputError("the world needs a start: draw another one first")
        for symbol in symbols:
            to = world.legend[symbol].to
            if to and not world.places(symbol=to):
                raise InputError(f"'{symbol}' leads to '{to}', which would no longer be there")
        previous = self.place.world
        self._enter(world)
        self._undo.append(previous)

    def _enter(self, world: World) -> None:
        """Go on learning in another drawing of the world; values stay with their cells."""
        old_places, old = self.place.world.places(), self.agent
        stream = self.loop.state_dict()["world_stream"]
        here = old_places[self.loop.state]
        self.place = Place.drawn(self.place.name, world)
        places = world.places()
        rows_of = {place: s for s, place in enumerate(old_places)}
        self.agent = QLearning(len(places), len(self.place.moves), self.config, self._seed)
        state = old.state_dict()
        for name in ("q", "visits"):
            new = self.agent.state_dict()[name]
            for s, place in enumerate(places):
                if place in rows_of:
                    new[s] = state[name][rows_of[place]]
            state[name] = new
        self.agent.load_state_dict(state)
        self.loop = self._start_loop()
        stays = here in places and not world.cell(*here).end
        self.loop.load_state_dict(
            {
                "state": np.array([places.index(here) if stays else self.loop.state, 0]),
                "episode_return": np.zeros(1),
                "world_stream": stream,
            }
        )
        self._path = deque([self.loop.state], PATH_LENGTH)
        self._solve()

    # ---- the exact answer

    def _solve(self) -> None:
        """Solve the world by the learner's criterion."""
        model = self.place.model
        self._criterion: solver.Criterion = (
            "average-reward" if self.config.criterion == "average-reward" else "discounted"
        )
        self._discount = min(self.config.discount, 0.9999)  # 1 has no discounted optimum
        self._optimum = solver.solve(model, self._criterion, self._discount)
        best = solver.policy_value(model, self._optimum.policy, self._discount)
        self._best_value = self._criterion_value(best)
        self._best_q = action_values(model, self._optimum)
        self._best_actions = optimal_actions(self._best_q)
        self._reachable = reachable_states(model)
        self._known: tuple[Floats, Table] | None = None  # the policy that was evaluated last

    def _criterion_value(self, value: solver.PolicyValue) -> float:
        discounted = self._criterion == "discounted"
        return value.discounted_return if discounted else value.average_reward

    def exact(self) -> Table:
        """The exact values of the greedy policy, and the distance of the learnt values."""
        policy = self._greedy_policy()
        if self._known is None or not np.array_equal(policy, self._known[0]):
            self._known = policy, self._evaluate(policy)
        distance = None
        if self._criterion == "discounted":
            errors = np.abs(self.agent.values - self._optimum.values)[self._reachable]
            distance = float(errors.max(initial=0.0))
        return {"steps": self.agent.steps, "distance": distance} | self._known[1]

    def _evaluate(self, policy: Floats) -> Table:
        value = solver.policy_value(self.place.model, policy, self._discount)
        wrong = ((policy > 0) & ~self._best_actions).any(axis=1) & self._reachable
        reached = self._criterion_value(value)
        equal = math.isclose(self._best_value, reached, rel_tol=1e-9, abs_tol=1e-12)
        return {
            "average_reward": value.average_reward,
            "expected_return": value.expected_return,
            "discounted_return": value.discounted_return,
            "gap": 0.0 if equal else self._best_value - reached,
            "wrong": int(wrong.sum()),
        }

    def _greedy_policy(self) -> Floats:
        return self.agent.probabilities(np.arange(self.place.model.num_states))

    # ---- messages

    def world_message(self) -> bytes:
        """The world, and its exact solution."""
        place, world = self.place, self.place.world
        optimum = {
            "discounted_return": self._optimal_value("discounted"),
            "expected_return": self._optimal_value("return"),
            "average_reward": self._optimal_value("average-reward"),
        }
        values = self._optimum.values if self._optimum.bias is None else self._optimum.bias
        used = {symbol for row in world.rows for symbol in row} | {"#", ".", "S", "G"}
        return encode(
            "world",
            name=place.name,
            title=world.title or place.name,
            about=world.about,
            editable=place.editable,
            rows=world.rows,
            legend={s: to_dict(world.legend[s]) for s in sorted(used & set(world.legend))},
            settings={
                "slip": world.slip,
                "stray": world.stray,
                "step_reward": world.step_reward,
                "wind": world.wind,
            },
            places=world.places(),
            moves=place.moves,
            discount=self.config.discount,
            criterion=self._criterion,
            optimum=optimum | {"q": self._best_q.tolist()},
            parameters={key: _text(value) for key, value in to_dict(self.config).items()},
            values=values.tolist(),
            reachable=self._reachable.tolist(),
            best=self._best_actions.tolist(),
            can_undo=bool(self._undo),
        )

    def _optimal_value(self, criterion: solver.Criterion) -> float | None:
        """The optimum under a criterion; None if there is none."""
        if criterion == self._criterion:
            return self._optimum.value
        with suppress(InputError):
            return solver.solve(self.place.model, criterion, self._discount).value
        return None

    def picture_message(self, running: bool, steps_per_second: float, exact: Table | None) -> bytes:
        """What the learner knows now."""
        return encode(
            "picture",
            steps=self.agent.steps,
            running=running,
            state=self.loop.state,
            path=list(self._path),
            q=self.agent.q.tolist(),
            visits=self.agent.visits.tolist(),
            policy=self._greedy_policy().tolist(),
            episode=self._episodes,
            episode_return=self.loop.episode_return,
            steps_per_second=steps_per_second,
            exact=exact,
        )


def update_message(update: UpdateTerms) -> bytes:
    """One update under the glass."""
    s, a, _, s_next, terminated, _ = update.transition
    return encode(
        "update",
        equation=update.equation,
        filled=update.filled,
        terms=update.terms,
        s=int(s),
        a=int(a),
        s_next=int(s_next),
        terminated=bool(terminated),
    )


@cache
def world_names() -> dict[str, str]:
    """The worlds that the page offers, with their descriptions."""
    names = {}
    for spec in registry.our_worlds():
        env = registry.make(spec.id).unwrapped
        if isinstance(env, TabularEnv):
            names[spec.name] = env.world.about
    return names


def catalog_message() -> bytes:
    """The worlds and learners that the page offers."""
    learners = []
    for name in LEARNERS:
        kind = agents.find(name)
        docs, defaults = field_docs(kind.config), to_dict(kind.config())
        hints = get_type_hints(kind.config)
        parameters = [
            {
                "name": key,
                "default": _text(value),
                "help": docs.get(key, ""),
                "choices": get_args(hints[key]) if get_origin(hints[key]) is Literal else None,
            }
            for key, value in defaults.items()
        ]
        learners.append({"name": name, "about": kind.about, "parameters": parameters})
    worlds = [{"name": name, "about": about} for name, about in world_names().items()]
    return encode("catalog", worlds=worlds, agents=learners)


def _text(value: Any) -> str:
    """A default value as a text of a field; a schedule by its initial value."""
    if isinstance(value, dict):
        return f"{value['initial']:g}"
    return f"{value:g}" if isinstance(value, int | float) else str(value)
