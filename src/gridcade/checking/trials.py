"""Tries an environment with random actions: speed, episodes, seeds, observations, pictures."""

import time
from dataclasses import dataclass, field
from typing import Any

import gymnasium as gym
import numpy as np

from gridcade.checking.findings import Finding
from gridcade.envs import registry
from gridcade.envs.masks import MaskReader, sample_action
from gridcade.envs.types import Env
from gridcade.errors import InputError, brief, single_line

STEPS = 5000  # largest number of random steps that measure speed and episodes
SECONDS = 2.0  # largest duration of these steps
REPEATED_STEPS = 200  # number of steps that are repeated with the same seed and compared
EARLIER_STEPS = (1, 2, 3, 5, 8, 13, 21)  # lengths of unfinished episodes before a comparison
STEPS_AFTER = 30  # number of steps that are compared after an unfinished episode

# The reset and each step: observation, reward, and whether the episode ended.
Trajectory = list[tuple[Any, float, bool]]


@dataclass
class Played:
    """What happened under random actions."""

    steps: int = 0
    seconds: float = 0.0
    lengths: list[int] = field(default_factory=list)  # of the episodes that ended
    returns: list[float] = field(default_factory=list)
    truncated: int = 0  # number of truncated episodes
    outside: str = ""  # describes an observation that is outside its space; empty if none is
    masked: bool = False  # whether the environment gives action masks

    def facts(self) -> dict[str, str]:
        """Describe episodes and speed."""
        speed = f"{self.steps / max(self.seconds, 1e-9):,.0f} steps per second, with random actions"
        if not self.lengths:
            return {"episodes": f"none ended within {self.steps:,} random steps", "speed": speed}
        low, high = min(self.returns), max(self.returns)
        returns = f"{low:.4g}" if low == high else f"{low:.4g} to {high:.4g}"
        episodes = (
            f"{len(self.lengths):,} with random actions: {np.mean(self.lengths):.4g} steps on "
            f"average, returns {returns}"
        )
        return {"episodes": episodes, "speed": speed}


def play(env: Env) -> Played:
    """Play episodes with random actions.

    Raises:
        InputError: the environment fails, or its guard finds a mistake.
    """
    played, length, total = Played(), 0, 0.0
    env.action_space.seed(0)
    reader = MaskReader(env)
    observation, info = env.reset(seed=0)
    mask = reader.after_reset(info)
    began = time.perf_counter()
    while played.steps < STEPS and time.perf_counter() - began < SECONDS:
        played.masked |= mask is not None
        if not played.outside and played.steps <= REPEATED_STEPS:
            inside = env.observation_space.contains(observation)
            when = f"at step {length}" if length else "after a reset"
            played.outside = "" if inside else f"{when} it is {brief(observation)}"
        action = sample_action(env.action_space, mask)
        observation, reward, terminated, truncated, info = env.step(action)
        mask = reader.after_step(info, bool(terminated), bool(truncated))
        played.steps += 1
        length, total = length + 1, total + float(reward)
        if terminated or truncated:
            played.lengths.append(length)
            played.returns.append(total)
            played.truncated += bool(truncated and not terminated)
            length, total = 0, 0.0
            observation, info = env.reset()
            mask = reader.after_reset(info)
    played.seconds = time.perf_counter() - began
    return played


def episode_findings(env: Env, played: Played) -> list[Finding]:
    """Judge the ends, rewards and observations of the played episodes."""
    findings = []
    if registry.time_limit(env) is None and not played.lengths:
        findings.append(
            Finding(
                "advice",
                f"No episode ended within {played.steps:,} random steps, and there is no time "
                "limit.",
                "Set a time limit with ?max_episode_steps=1000, or end the episodes in step.",
            )
        )
    if played.outside:
        findings.append(
            Finding(
                "problem",
                f"An observation is outside its space, {env.observation_space}: {played.outside}.",
                "Widen the bounds of observation_space, or fix the observation or its type.",
            )
        )
    else:
        findings.append(Finding("ok", "Observations fit their space, and rewards are numbers."))
    return findings


def seed_finding(first: Env, second: Env) -> Finding:
    """Check that a seed and actions give the same episode, whatever was played before.

    Args:
        first: an environment.
        second: another environment of the same kind, or the first one.
    """
    expected = _trajectory(first, REPEATED_STEPS)
    for env, where in ((first, "the second time"), (second, "in a second environment")):
        if difference := _difference(expected, _trajectory(env, REPEATED_STEPS), where):
            return Finding(
                "problem",
                f"With the same seed and actions, {difference}; runs cannot be repeated or "
                "resumed exactly.",
                "Call super().reset(seed=seed) in reset, and draw every random number from "
                "self.np_random.",
            )
    for steps in EARLIER_STEPS:
        _leave_episode(first, steps)
        where = f"if an earlier episode was left after step {steps}"
        if difference := _difference(expected, _trajectory(first, STEPS_AFTER), where):
            return Finding(
                "problem",
                f"After reset(seed=0) and the same actions, {difference}: reset keeps something "
                "of the earlier episode, so runs cannot be repeated exactly.",
                "In reset, set every attribute that step changes.",
            )
    return Finding("ok", f"A seed repeats an episode: {REPEATED_STEPS} steps were the same.")


def _difference(expected: Trajectory, found: Trajectory, where: str) -> str:
    """Describe the first difference of two trajectories; empty if there is none."""
    for step, (one, other) in enumerate(zip(expected, found, strict=False)):
        for name, a, b in zip(("observation", "reward", "end"), one, other, strict=True):
            if not _equal(a, b):
                when = "after the reset" if step == 0 else f"at step {step}"
                return f"the {name} {when} was {brief(a)}, and {brief(b)} {where}"
    return ""


def _leave_episode(env: Env, steps: int) -> None:
    """Start an episode, and leave it after some random steps."""
    reader = MaskReader(env)
    _, info = env.reset(seed=steps)
    mask = reader.after_reset(info)
    for _ in range(steps):
        _, _, terminated, truncated, info = env.step(sample_action(env.action_space, mask))
        if terminated or truncated:
            return
        mask = reader.after_step(info, False, False)


def _trajectory(env: Env, steps: int) -> Trajectory:
    """Record the steps of episodes with random actions; the first episode has seed 0."""
    env.action_space.seed(0)
    reader = MaskReader(env)
    observation, info = env.reset(seed=0)
    mask = reader.after_reset(info)
    found = [(_copied(observation), 0.0, False)]
    seed = 0
    for _ in range(steps):
        action = sample_action(env.action_space, mask)
        observation, reward, terminated, truncated, info = env.step(action)
        mask = reader.after_step(info, bool(terminated), bool(truncated))
        ended = bool(terminated or truncated)
        found.append((_copied(observation), float(reward), ended))
        if ended:
            seed += 1
            _, info = env.reset(seed=seed)
            mask = reader.after_reset(info)
    return found


def _copied(observation: Any) -> Any:
    """Copy an observation, because the environment may overwrite its arrays."""
    if isinstance(observation, dict):
        return {key: _copied(part) for key, part in observation.items()}
    if isinstance(observation, tuple | list):
        return tuple(_copied(part) for part in observation)
    return observation.copy() if isinstance(observation, np.ndarray) else observation


def _equal(a: Any, b: Any) -> bool:
    """Whether two observations are equal, part by part."""
    if isinstance(a, dict):
        return isinstance(b, dict) and a.keys() == b.keys() and all(_equal(a[k], b[k]) for k in a)
    if isinstance(a, tuple):
        return len(a) == len(b) and all(map(_equal, a, b))
    return bool(np.array_equal(a, b))


def render_findings(name: str, modes: list[str]) -> list[Finding]:
    """Check that an environment renders in each mode except `human`, which opens a window."""
    findings = []
    for mode in modes:
        if mode == "human":
            continue
        try:
            problem = _render(name, mode)
        except (InputError, NotImplementedError, gym.error.Error) as error:
            problem = single_line(error) or type(error).__name__
        if problem:
            findings.append(
                Finding(
                    "problem",
                    f"Render mode {mode}: {problem}.",
                    "Fix render, or remove the mode from metadata['render_modes'].",
                )
            )
    if not findings and set(modes) - {"human"}:
        drawn = ", ".join(mode for mode in modes if mode != "human")
        findings.append(Finding("ok", f"Rendering works: {drawn}."))
    return findings


def _render(name: str, mode: str) -> str:
    """Describe what is wrong with a rendered picture; empty if nothing is."""
    env = registry.make(name, render_mode=mode)
    try:
        env.reset(seed=0)
        picture = env.render()
    finally:
        env.close()
    if mode == "ansi":
        return "" if isinstance(picture, str) else f"it returned {brief(picture)}, not a string"
    if mode != "rgb_array":
        return ""
    if not (isinstance(picture, np.ndarray) and picture.ndim == 3 and picture.shape[2] == 3):
        return f"it returned {brief(picture)}, not an array [height, width, 3]"
    return "" if picture.dtype == np.uint8 else f"its type is {picture.dtype}, not uint8"
