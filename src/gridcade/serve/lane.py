"""One lane of the live page: a tabular learner in a world, and what the page shows of it."""

from collections import deque
from typing import Any

import gymnasium as gym
import numpy as np
from numpy.typing import NDArray

from gridcade import agents
from gridcade.agents.q_learning import QLearning, QLearningConfig
from gridcade.agents.tabular_loop import TabularLoop, UpdateTerms
from gridcade.envs.map_writer import world_text
from gridcade.envs.maps import World
from gridcade.errors import InputError, unknown
from gridcade.exact.solver import Criterion
from gridcade.serve import editing
from gridcade.serve.catalog import LEARNERS, value_text
from gridcade.serve.exact_answer import ExactAnswer
from gridcade.serve.messages import Change, Open, encode, pack_table
from gridcade.serve.place import Place
from gridcade.study.brackets import read_changes
from gridcade.training.config import read_recipe, to_dict

Floats = NDArray[np.float64]
Table = dict[str, Any]

MAX_UNDO = 100  # edits that can be taken back
PATH_LENGTH = 200  # states of the present episode that are shown
LONGEST_EPISODE = 100_000  # steps that `finish_episode` takes at most
FOLLOWED_STEPS = 20  # so many steps between two pictures are followed one by one, for the path


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
        return self.agent.compiled_loop(self.place.model, self.place.time_limit, self._seed)

    # ---- editing

    def edit(self, request: Change) -> None:
        """Change the world, which `undo` can take back; see `editing.change` for the errors."""
        previous = self._drawing()
        self._enter(editing.change(previous, request))
        self._undo.append(previous)

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
        average = self.config.criterion == "average-reward"
        criterion: Criterion = "average-reward" if average else "discounted"
        self.answer = ExactAnswer(self.place.model, criterion, self.config.discount)

    def exact(self) -> Table:
        """The exact values of the greedy policy, and the distance of the learnt values."""
        return {
            "steps": self.agent.steps,
            "distance": self.answer.distance(self.agent.values),
            **self.answer.evaluate(self._greedy_policy()),
        }

    def _greedy_policy(self) -> Floats:
        return self.agent.probabilities(np.arange(self.place.model.num_states))

    # ---- messages

    def world_message(self) -> bytes:
        """The world, and its exact solution."""
        place, world, answer = self.place, self.place.world, self.answer
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
            criterion=answer.criterion,
            optimum=answer.optima | {"q": answer.q.tolist()},
            parameters={key: value_text(value) for key, value in to_dict(self.config).items()},
            values=answer.values.tolist(),
            reachable=answer.reachable.tolist(),
            best=answer.best.tolist(),
            can_undo=bool(self._undo),
        )

    def picture_message(self, running: bool, steps_per_second: float, exact: Table | None) -> bytes:
        """What the learner knows now."""
        return encode(
            "picture",
            steps=self.agent.steps,
            running=running,
            state=self.loop.state,
            path=list(self._path),
            q=pack_table(self.agent.q),
            visits=pack_table(self.agent.visits),
            policy=pack_table(self._greedy_policy()),
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
