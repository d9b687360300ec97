"""Worlds and transitions for tests of tabular agents."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from gridcade.agents.tabular import TabularAgent
from gridcade.agents.tabular_loop import Transition
from gridcade.envs import registry
from gridcade.envs.tabular import Model, TabularEnv
from gridcade.experience.step import TOTALS, Step


def make_world(name: str, **arguments: Any) -> tuple[TabularEnv, Model]:
    env = registry.make(name, **arguments).unwrapped
    assert isinstance(env, TabularEnv)
    return env, env.model


def forbid_some(env: TabularEnv) -> TabularEnv:
    """The same world, where a quarter of the actions is forbidden."""
    model, rng = env.model, np.random.default_rng(0)
    allowed = rng.random((model.num_states, model.num_actions)) < 0.75
    allowed |= ~allowed.any(axis=1, keepdims=True)
    masked = replace(model, allowed=allowed)
    return TabularEnv(env.world, masked, signs=env.signs, time_limit=env.time_limit)


def learn(agent: TabularAgent[Any], *transitions: Transition) -> None:
    """Learn from transitions of one environment."""
    for s, a, r, s_next, terminated, truncated, current in transitions:
        agent.observe(
            Step(
                observations=np.array([s]),
                actions=np.array([a]),
                rewards=np.array([r]),
                next_observations=np.array([s_next]),
                terminated=np.array([terminated]),
                truncated=np.array([truncated]),
                current=np.array([current]),
            )
        )


def learn_with_gymnasium(
    agent: TabularAgent[Any],
    env: TabularEnv,
    steps: int,
    follow: Callable[[Transition], None] = lambda _: None,
) -> dict[str, float]:
    """Learn through `act` and `observe`, in an environment with one stream for all episodes.

    Calls `follow` with each transition. Returns sums by the names of TOTALS.
    """
    totals: dict[str, float] = dict.fromkeys(TOTALS, 0.0)
    observation, info = env.reset()
    masks = info_masks(info)
    episode_return, length = 0.0, 0
    for _ in range(steps):
        action = agent.act(np.array([observation]), masks)
        after, reward, terminated, truncated, info = env.step(action[0])
        next_masks = info_masks(info)
        episode_return, length = episode_return + reward, length + 1
        totals["reward"] += reward
        current = after
        if terminated or truncated:
            totals["episodes"] += 1
            totals["return"] += episode_return
            totals["squared_return"] += episode_return**2
            totals["length"] += length
            totals["truncated"] += truncated
            episode_return, length = 0.0, 0
            current, info = env.reset()
        agent.observe(
            Step(
                observations=np.array([observation]),
                actions=action,
                rewards=np.array([reward]),
                next_observations=np.array([after]),
                terminated=np.array([terminated]),
                truncated=np.array([truncated]),
                current=np.array([current]),
                masks=masks,
                next_masks=next_masks,
                current_masks=info_masks(info),
            )
        )
        a, ends = int(action[0]), (bool(terminated), bool(truncated))
        follow(Transition(int(observation), a, float(reward), int(after), *ends, int(current)))
        observation, masks = current, info_masks(info)
    return totals


def info_masks(info: dict[str, Any]) -> Any:
    """The mask of one environment as a batch, [1, actions]; None without a mask."""
    return info["action_mask"][None] if info else None
