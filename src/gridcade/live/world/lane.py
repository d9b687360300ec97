"""One lane of the live page: a learner in a world, and its messages to the page."""

from collections import deque
from dataclasses import dataclass
from typing import Any

from gridcade.agents.base import Tensors
from gridcade.envs.map_writer import world_text
from gridcade.envs.maps import World
from gridcade.errors import InputError
from gridcade.exact.policy_iteration import forbid
from gridcade.live.messages import encode, pack_table
from gridcade.live.world import editing
from gridcade.live.world.catalog import value_text
from gridcade.live.world.exact_answer import ExactAnswer
from gridcade.live.world.history import History
from gridcade.live.world.learner import Update
from gridcade.live.world.learners import open_learner
from gridcade.live.world.messages import Change, Open
from gridcade.live.world.place import Place
from gridcade.live.world.seeds import SeedRuns
from gridcade.training.config import to_dict

Table = dict[str, Any]

MAX_UNDO = 100  # edits that can be taken back
MAX_SOLVED = 8  # solutions of worlds that are kept, for returns to these worlds


@dataclass(frozen=True)
class Snapshot:
    """Everything on which the future of a lane depends."""

    world: World
    learner: Tensors
    undo: tuple[World, ...]


class Lane:
    """A learner in a world, which can be edited while it learns.

    Args:
        request: names the world and the learner.

    Raises:
        InputError: the request names something that does not exist, or a value is invalid.
    """

    def __init__(self, request: Open):
        self._request = request
        self.place = Place.find(request)
        self.learner = open_learner(request.agent, self.place, request.parameters, request.seed)
        self._undo: deque[World] = deque(maxlen=MAX_UNDO)
        self._solved: deque[tuple[Place, ExactAnswer]] = deque(maxlen=MAX_SOLVED)
        self.answer = self._solve(self.place)
        self.history: History[Snapshot] = History()
        self.record(edited=True)

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

    # ---- time

    def record(self, edited: bool = False) -> None:
        """Add the present moment to the history, unless it was recorded already."""
        learner, history = self.learner, self.history
        if not edited and history.present.steps == learner.steps:
            return
        tensors = learner.snapshot()
        snapshot = Snapshot(self.place.world, tensors, tuple(self._undo))
        size = sum(tensor.nbytes for tensor in tensors.values())
        history.record(learner.steps, snapshot, size, edited)

    def go_to(self, branch: int, moment: int | None) -> bool:
        """Return to a moment of the history; return whether its world is another one.

        Args:
            branch: number of the branch.
            moment: number of the moment; None: the newest one of the branch.

        Raises:
            InputError: the branch is no longer kept.
        """
        self.record()
        snapshot = self.history.go_to(branch, moment)
        changed = snapshot.world is not self.place.world
        if changed:
            self._set_world(snapshot.world)
        self.learner.restore(snapshot.learner)
        self._undo = deque(snapshot.undo, MAX_UNDO)
        return changed

    # ---- other seeds

    def run_seeds(self) -> SeedRuns:
        """Let learners with other seeds learn in the present world, from the beginning.

        Raises:
            InputError: the learner is a planner, which uses no random numbers.
        """
        if not self.learner.is_random:
            raise InputError("planning uses no random numbers, so all seeds are alike")
        place, agent, parameters = self.place, self._request.agent, self._request.parameters
        return SeedRuns(
            lambda seed: open_learner(agent, place, parameters, seed),
            place.model,
            self.answer.discount,
            self.answer.optima,
            self.learner.steps,
        )

    # ---- editing

    def edit(self, request: Change) -> None:
        """Change the world; `undo` takes the change back. For errors, see `editing.change`."""
        previous = self._drawing()
        changed = editing.change(previous, request)
        self.record()
        self._set_world(changed)
        self._undo.append(previous)
        self.record(edited=True)

    def undo(self) -> None:
        """Take back the last change.

        Raises:
            InputError: there is no change to take back.
        """
        if not self._undo:
            raise InputError("there is nothing to undo")
        self.record()
        self._set_world(self._undo.pop())
        self.record(edited=True)

    def map_text(self) -> str:
        """Return the text of the world's map file; InputError if it is not drawn in text."""
        return world_text(self._drawing())

    def _drawing(self) -> World:
        if not self.place.editable:
            raise InputError(f"{self.place.name} is not drawn in text and cannot be edited")
        return self.place.world

    def _set_world(self, world: World) -> None:
        """Continue learning in a changed world; values stay with their cells."""
        known = next((known for known in self._solved if known[0].world is world), None)
        self.place = known[0] if known else Place.drawn(self.place.name, world)
        self.learner = self.learner.moved(self.place)
        self.answer = known[1] if known else self._solve(self.place)

    # ---- the exact answer

    def _solve(self, place: Place) -> ExactAnswer:
        """Solve a world by the learner's criterion."""
        answer = ExactAnswer(place.model, self.learner.criterion, self.learner.discount)
        self._solved.append((place, answer))
        return answer

    def exact(self) -> Table:
        """Return the exact values of the greedy policy, and the error of the learned values."""
        return {
            "steps": self.learner.steps,
            "distance": self.answer.distance(self.learner.values),
            **self.answer.evaluate(self.learner.policy),
        }

    # ---- messages

    def world_message(self) -> bytes:
        """Return a message with the world and its exact solution."""
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
            signs=None if place.signs is None else place.signs.tolist(),
            allowed=None if place.model.allowed is None else place.model.allowed.tolist(),
            discount=answer.discount,
            criterion=answer.criterion,
            optimum=answer.optima | {"q": answer.q.tolist()},
            parameters={name: value_text(value) for name, value in parameters.items()},
            values=answer.values.tolist(),
            reachable=answer.reachable.tolist(),
            best=answer.best.tolist(),
            can_undo=bool(self._undo),
        )

    def picture_message(self, running: bool, steps_per_second: float, exact: Table | None) -> bytes:
        """Return a message with the learner's present state; planners have null for the walk."""
        learner, walk = self.learner, self.learner.walk
        visits = learner.visits
        return encode(
            "picture",
            steps=learner.steps,
            running=running,
            converged=learner.converged,
            branch=self.history.branch,
            newest=self.history.is_newest,
            state=walk and walk.state,
            path=walk and walk.path,
            q=pack_table(forbid(self.place.model, learner.q)),
            visits=None if visits is None else pack_table(visits),
            policy=pack_table(learner.policy),
            episode=walk and walk.episode,
            episode_return=walk and walk.episode_return,
            steps_per_second=steps_per_second,
            exact=exact,
        )

    def history_message(self) -> bytes:
        """Return a message with the branches, and the moments of the present one."""
        history = self.history
        return encode(
            "history",
            branch=history.branch,
            moment=history.present.number,
            moments=[(m.number, m.steps) for m in history.moments],
            branches=[
                {"branch": number, "parent": b.parent, "fork": b.fork, "steps": b.moments[-1].steps}
                for number, b in history.branches.items()
            ],
        )

    def update_message(self, update: Update) -> bytes:
        """Return a message with one update and its numbers."""
        return encode("update", steps=self.learner.steps, **vars(update))
