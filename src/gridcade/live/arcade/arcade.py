"""The session of the Arcade page: a policy, its environment, and the game that is played."""

import re
from collections.abc import Sequence
from typing import Any

import numpy as np

from gridcade.envs import registry
from gridcade.envs.action_names import action_names
from gridcade.envs.actions import finite_actions
from gridcade.envs.atari import DEFAULT_PROTOCOL, AtariGame
from gridcade.envs.types import Env
from gridcade.errors import InputError, single_line
from gridcade.evaluation.evaluated_policy import EvaluatedPolicy
from gridcade.live.arcade.chooser import Chooser
from gridcade.live.arcade.consoles import find_console
from gridcade.live.arcade.game import SAVE_EVERY, Game
from gridcade.live.arcade.messages import Open
from gridcade.live.arcade.policy_list import PolicyList
from gridcade.live.messages import encode
from gridcade.recording.frames import make_rgb_env
from gridcade.seeding import episode_seed

KEYS = {"up": "ArrowUp", "right": "ArrowRight", "down": "ArrowDown", "left": "ArrowLeft"}
KEYS |= {"north": "ArrowUp", "east": "ArrowRight", "south": "ArrowDown", "west": "ArrowLeft"}
KEYS |= {"fire": "Space"}
NO_KEYS = ("noop", "none")  # names of the action that is taken while no key is held
MAX_DIGITS = 10  # actions that have digits as keys


class Arcade:
    """A policy that plays games in an environment.

    Args:
        request: names the policy, the environment and the game.
        policies: policies that the request may name.

    Raises:
        InputError: the request names something that does not exist, or the policy does not fit the
            environment.
    """

    def __init__(self, request: Open, policies: PolicyList):
        contender = policies.find(request.policy, request.checkpoint, request.env)
        self.request, self.contender = request, contender
        assert isinstance(contender.env, str)  # noqa: S101 - for the type checker
        self.env = make_env(contender.env)
        self.actor = EvaluatedPolicy(
            contender.policy, self.env, request.epsilon, not request.sample
        )
        self.console = find_console(self.env)
        self._names = action_names(self.env)
        # The action that is taken while no key is held; None: the game waits for a key.
        self.idle_action = next((i for i, name in enumerate(self._names) if name in NO_KEYS), None)
        self._chooser = Chooser(self.actor, self.env)
        self.start_game(request.game)

    def start_game(self, number: int) -> None:
        """Start a game; its seed is the one that `gridcade watch` uses for this number."""
        self.number = number
        seed = episode_seed(self.request.seed, "watching", 0, number)
        self.game = Game(self.console, self._chooser, seed)

    def check_action(self, action: int) -> None:
        """Raise InputError if there is no such action."""
        space = self.env.action_space
        numbers = finite_actions(space)
        if numbers is None:
            raise InputError(
                f"a person cannot take over: there are no keys for actions of {single_line(space)}"
            )
        if action >= numbers.count:
            raise InputError(
                f"there is no action {action}; choose one from 0 to {numbers.count - 1}"
            )

    def message(self) -> bytes:
        """Return a message that describes the policy and its environment to the page."""
        console = self.console
        numbers = finite_actions(self.env.action_space)
        names = self._names or tuple(f"action {i}" for i in range(numbers.count if numbers else 0))
        palette = console.palette
        return encode(
            "game",
            policy=self.request.policy,
            checkpoint=self.request.checkpoint,
            env=self.contender.env_name,
            protocol=self._protocol(),
            about=self._about(),
            rewind=self._rewind(),
            actions=names,
            keys=keys_of(names),
            idle=self.idle_action,
            per_action=self._chooser.kind,
            palette=None if palette is None else palette.tolist(),
            frames_per_step=console.frames_per_step,
            steps_per_second=console.steps_per_second,
            time_limit=console.time_limit,
            epsilon=self.actor.epsilon,
            what_if=console.saves and self._chooser.kind != "none",
        )

    def _protocol(self) -> str:
        """Return the protocol of an Atari game; "" for other environments."""
        if not isinstance(self.env.unwrapped, AtariGame):
            return ""
        arguments = self.env.spec.kwargs if self.env.spec else {}
        return str(arguments.get("protocol", DEFAULT_PROTOCOL))

    def _about(self) -> str:
        """Describe the game and the policy to the viewer in one line."""
        console, actor = self.console, self.actor
        parts = [f"{console.steps_per_second:g} steps per second"]
        if console.frames_per_step > 1:
            parts.append(f"{console.frames_per_step} frames per step")
        parts.append(f"at most {console.time_limit:,} steps")
        if self.contender.trained_env:  # other policies have only one kind of action
            parts.append("greedy actions" if actor.deterministic else "sampled actions")
        parts += [f"epsilon {actor.epsilon:g}"] if actor.epsilon else []
        notes = self.env.unwrapped.notes if isinstance(self.env.unwrapped, AtariGame) else []
        return "; ".join([*parts, *notes])

    def _rewind(self) -> str:
        """Explain to the viewer how going back in a game works."""
        if self.console.saves:
            return (
                "To go back, the server restores a state of the emulator, which it saves every "
                f"{SAVE_EVERY} steps, and repeats the actions since then. The states of a game "
                "take about 10 MB."
            )
        return "To go back, the server starts the game again from its seed and repeats its actions."


def make_env(name: str) -> Env:
    """Make an environment that draws pictures; the pictures of Atari come from its console."""
    is_game = registry.atari_title(registry.parse(name)[0])
    return registry.make(name) if is_game else make_rgb_env(name)


def keys_of(names: Sequence[str]) -> list[list[str]]:
    """Choose the keys of each action: arrows and space if its name has directions, or a digit.

    Keys have the names of `KeyboardEvent.code`, without the side of the keyboard.
    """
    keys = [_named_keys(name) for name in names]
    for i, (found, name) in enumerate(zip(keys, names, strict=True)):
        if not found and name not in NO_KEYS and len(names) <= MAX_DIGITS:
            found.append(f"Digit{i}")
    return keys


def _named_keys(name: str) -> list[str]:
    """Return [ArrowUp, Space] for `upfire`; [] if not all of a name is directions and fire."""
    word = "|".join(KEYS)
    is_move = re.fullmatch(f"({word})+", name)
    return [KEYS[part] for part in re.findall(word, name)] if is_move else []


def observation_text(observation: Any) -> str:
    """Write an observation of at most 16 numbers as text; return "" for others."""
    numbers = np.atleast_1d(observation) if not isinstance(observation, dict) else np.empty(0)
    if not 0 < numbers.size <= 16:
        return ""
    return ", ".join(f"{x:.4g}" for x in numbers.ravel().tolist())
