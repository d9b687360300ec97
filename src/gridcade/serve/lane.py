"""One lane of the live page: a learner in a world, and what the page shows of it."""

from collections import deque
from typing import Any

from gridcade.envs.map_writer import world_text
from gridcade.envs.maps import World
from gridcade.errors import InputError
from gridcade.serve import editing
from gridcade.serve.catalog import value_text
from gridcade.serve.exact_answer import ExactAnswer
from gridcade.serve.learners import Update, open_learner
from gridcade.serve.messages import Edit, Open, Settings, encode, pack_table
from gridcade.serve.place import Place
from gridcade.training.config import to_dict

Table = dict[str, Any]

MAX_UNDO = 100  # edits that can be taken back


class Lane:
    """A learner in a world, which can be edited while it learns.

    Args:
        request: names the world and the learner.

    Raises:
        InputError: the request names something that does not exist, or a value is invalid.
    """

    def __init__(self, request: Open):
        self.place = Place.find(request)
        self.learner = open_learner(request.agent, self.place, request.parameters, request.seed)
        self._undo: deque[World] = deque(maxlen=MAX_UNDO)
        self._solve()

    # ---- learning

    def advance(self, steps: int) -> None:
        """Learn from a number of steps."""
        self.learner.advance(steps)

    def step(self) -> Update:
        """Learn from one step, and return its update."""
        return self.learner.step()

    def finish_episode(self) -> Update:
        """Learn to the end of the episode, and return the last update."""
        return self.learner.finish_episode()

    # ---- editing

    def edit(self, request: Edit) -> None:
        """Draw into the map; see `editing.draw` for the errors."""
        self._change(editing.draw(self._drawing(), request))

    def change_settings(self, request: Settings) -> None:
        """Change settings of the world; see `editing.with_settings` for the errors."""
        self._change(editing.with_settings(self._drawing(), request))

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
        editing.check(world)
        previous = self.place.world
        self._enter(world)
        self._undo.append(previous)

    def _enter(self, world: World) -> None:
        """Go on learning in another drawing of the world; values stay with their cells."""
        self.place = Place.drawn(self.place.name, world)
        self.learner = self.learner.moved(self.place)
        self._solve()

    # ---- the exact answer

    def _solve(self) -> None:
        """Solve the world by the learner's criterion."""
        learner = self.learner
        self.answer = ExactAnswer(self.place.model, learner.criterion, learner.discount)

    def exact(self) -> Table:
        """The exact values of the greedy policy, and the distance of the learnt values."""
        return {
            "steps": self.learner.steps,
            "distance": self.answer.distance(self.learner.values),
            **self.answer.evaluate(self.learner.policy),
        }

    # ---- messages

    def world_message(self) -> bytes:
        """The world, and its exact solution."""
        place, world, answer = self.place, self.place.world, self.answer
        parameters = to_dict(self.learner.config)
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
            discount=self.learner.discount,
            criterion=answer.criterion,
            optimum=answer.optima | {"q": answer.q.tolist()},
            parameters={name: value_text(value) for name, value in parameters.items()},
            values=answer.values.tolist(),
            reachable=answer.reachable.tolist(),
            best=answer.best.tolist(),
            can_undo=bool(self._undo),
        )

    def picture_message(self, running: bool, steps_per_second: float, exact: Table | None) -> bytes:
        """What the learner knows now; without an agent that walks, its fields are null."""
        learner, walk = self.learner, self.learner.walk
        visits = learner.visits
        return encode(
            "picture",
            steps=learner.steps,
            running=running,
            converged=learner.converged,
            state=walk and walk.state,
            path=walk and walk.path,
            q=pack_table(learner.q),
            visits=None if visits is None else pack_table(visits),
            policy=pack_table(learner.policy),
            episode=walk and walk.episode,
            episode_return=walk and walk.episode_return,
            steps_per_second=steps_per_second,
            exact=exact,
        )

    def update_message(self, update: Update) -> bytes:
        """One update under the glass."""
        return encode("update", steps=self.learner.steps, **vars(update))
