"""Copies of policies, by pickle and by deepcopy, act and learn like their originals."""

import copy
import pickle
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import gridcade
from gridcade import agents
from gridcade.agents import dqn, pqn
from gridcade.agents.base import in_memory
from gridcade.agents.schedules import Schedule
from gridcade.envs import registry
from gridcade.experience.loop import Experience
from gridcade.experience.vector import make_vector
from gridcade.training.config import read_recipe

PIXELS = "FourRooms?observation=pixels&pixels=36"


def pickled(policy: Any) -> Any:
    return pickle.loads(pickle.dumps(policy))


@pytest.mark.parametrize("duplicate", [pickled, copy.deepcopy])
@pytest.mark.parametrize(
    ("name", "env"),
    [
        ("dqn", "CartPole"),
        ("dqn", PIXELS),
        ("dqn", "MountainCar?bins=3"),
        ("pqn", PIXELS),
        ("q-learning", "Blackjack"),
        ("sb3-dqn", "CartPole"),
        ("sb3-ppo", PIXELS),
        ("sb3-sac", "Pendulum"),
        ("optimal", "FourRooms"),
        ("random", "FourRooms"),
        ("random", "Pendulum"),
        ("breakout", "Breakout"),
    ],
)
def test_copies_of_policies_act_alike(name: str, env: str, duplicate: Callable[[Any], Any]) -> None:
    single = registry.make(env)
    policy: Any
    if name in ("optimal", "random", "breakout"):
        policy = gridcade.load(name, env=single)
    else:
        kind = agents.find(name)
        policy = kind.make(single, read_recipe(kind, kind.preset_for(single)).hyperparameters, 0)
    other = duplicate(policy)
    single.observation_space.seed(0)
    for _ in range(8):
        observation = single.observation_space.sample()
        actions, copied = (p.predict(observation, deterministic=True)[0] for p in (policy, other))
        np.testing.assert_array_equal(actions, copied)


DQN = dqn.DQNConfig(
    replay_capacity=500, learn_start=20, update_every=4, held_out=4, target_every=8, average_over=3
)
PQN = pqn.PQNConfig(rollout=8, minibatches=2, epsilon=Schedule(0.5), average_over=3)


@pytest.mark.parametrize("duplicate", [pickled, copy.deepcopy])
@pytest.mark.parametrize(("make", "config"), [(dqn.make, DQN), (pqn.make, PQN)])
@pytest.mark.parametrize("env", ["CartPole", PIXELS])
def test_copies_of_agents_learn_alike(
    make: Any, config: Any, env: str, duplicate: Callable[[Any], Any]
) -> None:
    agent = make(registry.make(env), config, 0)
    agent.allocate(2, 100, in_memory)
    experience = Experience(make_vector(env, 2), 3)
    steps = experience.steps(agent)
    recorded = [next(steps) for _ in range(32)]
    other = duplicate(agent)
    for step in recorded[-12:]:
        for learner in (agent, other):
            learner.act(step.observations)
            learner.observe(step)
            learner.update()
    assert agent.updates > 0
    expected = agent.state_dict()
    for key, tensor in other.state_dict().items():
        np.testing.assert_array_equal(tensor, expected[key], err_msg=key)
