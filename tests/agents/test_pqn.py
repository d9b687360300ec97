"""PQN: targets are compared with a naive recursion; minibatches, state and learned values."""

import copy
import json
import tomllib
from contextlib import closing
from dataclasses import replace
from itertools import chain
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
import torch
from gymnasium import spaces
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from gridcade import agents
from gridcade.agents.base import in_memory
from gridcade.agents.deep import Spaces
from gridcade.agents.networks import ChannelNorm
from gridcade.agents.pqn import PQN, PQNConfig, lambda_returns, make
from gridcade.agents.schedules import Schedule
from gridcade.envs import registry
from gridcade.envs.observations import ArrayEncoder
from gridcade.errors import InputError
from gridcade.evaluation.evaluate import evaluate_policy
from gridcade.exact import solver
from gridcade.experience.loop import Experience
from gridcade.experience.step import Step
from gridcade.experience.vector import make_vector
from gridcade.seeding import episode_seed, stream
from gridcade.training import sessions
from gridcade.training.config import read_recipe

SMALL = PQNConfig(
    hidden=(16,),
    rollout=8,
    epochs=2,
    minibatches=3,
    epsilon=Schedule(1.0, 0.1, 100),
    learning_rate=Schedule(0.01, 0.001, 400),
    clip_rewards=False,
)
SHORT = "CartPole-v1?max_episode_steps=9"  # truncates episodes within rollouts


def small_config(**fields: Any) -> PQNConfig:
    return replace(SMALL, **fields)


def make_agent(config: PQNConfig, env: str, envs: int, seed: int = 0) -> tuple[PQN, Experience]:
    agent = make(registry.make(env), config, seed)
    agent.allocate(envs, 0, in_memory)
    return agent, Experience(make_vector(env, envs), seed)


def continue_training(agent: PQN, experience: Experience, until: int) -> None:
    """Train until the agent has taken `until` steps in total."""
    steps = experience.steps(agent, agent.overlap_updates)
    while agent.steps < until:
        next(steps)


FRAMES = np.random.default_rng(0).integers(0, 256, (31, 2, 4, 36, 36), dtype=np.uint8)


def make_image_agent(seed: int = 0, **fields: Any) -> PQN:
    """Return an agent for two environments with image observations, computed in bfloat16."""
    config = small_config(network="2013", bfloat16=True, **fields)
    agent = PQN(Spaces(ArrayEncoder(spaces.Box(0, 255, (4, 36, 36), np.uint8)), 4, 3), config, seed)
    agent.allocate(2, 0, in_memory)
    return agent


def play(agent: PQN, begin: int, end: int) -> None:
    """Let the agent take the steps `begin` to `end` of FRAMES."""
    false = np.zeros(2, bool)
    for t in range(begin, end):
        actions = agent.act(FRAMES[t])
        agent.update()
        agent.observe(
            Step(FRAMES[t], actions, np.ones(2), FRAMES[t + 1], false, false, FRAMES[t + 1])
        )


# ---- targets


def naive_return(t: int, decay: float, episode: dict[str, NDArray[Any]]) -> float:
    """Return G_t of one environment by the recursion of Gallici et al. (2024)."""
    r, gamma, v, truncated = (episode[key] for key in ("r", "gamma", "v", "truncated"))
    if gamma[t] == 0:
        return float(r[t])
    if truncated[t] or t == len(r) - 1:
        return float(r[t] + gamma[t] * v[t])
    following = naive_return(t + 1, decay, episode)
    return float(r[t] + gamma[t] * (decay * following + (1 - decay) * v[t]))


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    length=st.integers(1, 12),
    envs=st.integers(1, 3),
    decay=st.sampled_from([0.0, 0.3, 0.65, 1.0]),
)
def test_targets_follow_the_paper(seed: int, length: int, envs: int, decay: float) -> None:
    rng = np.random.default_rng(seed)
    shape = (length, envs)
    r, v = rng.normal(size=(2, *shape)).astype(np.float32)
    gamma = np.where(rng.random(shape) < 0.2, 0, 0.9).astype(np.float32)
    truncated = rng.random(shape) < 0.2
    decays = np.where(truncated, 0, decay).astype(np.float32)
    returns = lambda_returns(r, gamma, v, decays)
    for env in range(envs):
        terms = {"r": r, "gamma": gamma, "v": v, "truncated": truncated}
        episode = {name: term[:, env] for name, term in terms.items()}
        expected = [naive_return(t, decay, episode) for t in range(length)]
        np.testing.assert_allclose(returns[:, env], expected, rtol=1e-4, atol=1e-5)


def test_lambda_0_is_the_one_step_return_and_lambda_1_is_monte_carlo() -> None:
    rng = np.random.default_rng(0)
    r, v = rng.normal(size=(2, 6, 2)).astype(np.float32)
    gamma = np.full((6, 2), 0.9, np.float32)
    gamma[5] = 0  # the end of the episode
    zero, one = np.zeros_like(r), np.ones_like(r)
    np.testing.assert_allclose(lambda_returns(r, gamma, v, zero), r + gamma * v, rtol=1e-6)
    discounted = [sum(0.9**k * r[t + k] for k in range(6 - t)) for t in range(6)]
    np.testing.assert_allclose(lambda_returns(r, gamma, v, one), discounted, rtol=1e-5)


@pytest.mark.parametrize("env", [SHORT, "FourRooms?observation=one_hot&time_limit=11", "Breakout"])
@pytest.mark.parametrize("envs", [1, 3])
def test_a_rollout_stores_the_steps_and_their_targets(
    env: str, envs: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The observations, actions and targets of every rollout are computed again from its steps."""
    agent, experience = make_agent(small_config(trace_decay=0.7), env, envs)

    def values(observations: Any) -> Any:
        """Return constant action values, so that the targets can be computed later."""
        x = np.asarray(observations, np.float64).reshape(len(observations), -1)
        x = x[:, :: max(x.shape[1] // 500, 1)]  # a sample of the whole screen
        weights = np.random.default_rng(0).normal(size=(x.shape[1], agent.spaces.num_actions))
        return (x @ weights).astype(np.float32)

    monkeypatch.setattr(agent.backend, "values", values)

    def ends(step: Step) -> Any:
        return step.terminated | (False if step.life_lost is None else step.life_lost)

    history: list[Step] = []
    steps = experience.steps(agent, agent.overlap_updates)
    rollouts, num_steps = 0, 400 if env == "Breakout" else 60
    for _ in range(num_steps):
        complete = agent.t == SMALL.rollout  # the next step turns the rollout into the batch
        past = history[-SMALL.rollout :]
        history.append(next(steps))
        if not complete:
            continue
        rollouts += 1
        observations = np.array(
            [agent.backend.preprocess(step.observations) for step in past]
        )  # [T, envs, …]
        np.testing.assert_array_equal(agent.batch.observations, observations)
        np.testing.assert_array_equal(agent.batch.actions, [step.actions for step in past])
        for i in range(envs):
            episode = {
                "r": np.array([step.rewards[i] for step in past]),
                "v": np.array(
                    [values(agent.backend.preprocess(s.next_observations))[i].max() for s in past]
                ),
                "truncated": np.array([s.truncated[i] and not s.terminated[i] for s in past]),
                "gamma": np.array([0 if ends(s)[i] else 0.99 for s in past]),
            }
            expected = [naive_return(t, 0.7, episode) for t in range(SMALL.rollout)]
            np.testing.assert_allclose(agent.targets[:, i], expected, rtol=1e-4, atol=1e-5)
    assert rollouts == (num_steps - 1) // SMALL.rollout
    event = "life_lost" if env == "Breakout" else "truncated"
    assert np.any([getattr(step, event) for step in history])


def test_a_lost_life_ends_bootstrapping_but_not_the_episode() -> None:
    agent = make(gym.make("CartPole-v1"), small_config(clip_rewards=True, rollout=2), 0)
    agent.allocate(1, 0, in_memory)
    zeros = np.zeros((1, 4), np.float32)
    for lost in (True, False):
        agent.act(zeros)
        agent.update()
        false, life = np.array([False]), np.array([lost])
        agent.observe(Step(zeros, np.array([1]), np.array([7.0]), zeros, false, false, zeros, life))
    assert agent.played.discounts[:, 0].tolist() == pytest.approx([0, 0.99])
    assert agent.played.rewards[:, 0].tolist() == [1, 1]
    assert not agent.played.truncated.any()


# ---- learning


@settings(max_examples=10, deadline=None)
@given(rollout=st.integers(1, 9), epochs=st.integers(1, 3), minibatches=st.integers(1, 12))
def test_each_epoch_learns_from_each_step_once(rollout: int, epochs: int, minibatches: int) -> None:
    """The minibatches are spread over the next rollout and are complete when it ends."""
    minibatches = min(minibatches, 2 * rollout)
    config = small_config(rollout=rollout, epochs=epochs, minibatches=minibatches)
    agent, experience = make_agent(config, "CartPole-v1", 2)
    rollouts: list[list[list[int]]] = []

    def count(rows: Any) -> None:
        rollouts[-1].append(rows.tolist())
        agent.updates += 1

    agent.learn = count  # type: ignore[method-assign]
    steps = experience.steps(agent, agent.overlap_updates)
    for t in range(4 * rollout):
        if t % rollout == 0:
            rollouts.append([])
        before = agent.updates
        next(steps)
        max_updates = -(-epochs * minibatches // rollout)
        assert agent.updates - before <= max_updates
    assert rollouts[0] == []
    for batches in rollouts[1:]:
        for epoch in range(epochs):
            rows = [*chain(*batches[epoch * minibatches : (epoch + 1) * minibatches])]
            assert sorted(rows) == [*range(2 * rollout)]


def test_a_checkpoint_does_not_contain_rollouts_already_learned_from() -> None:
    """It contains the rollout that is being learned from, and the current part of the next one."""
    agent, experience = make_agent(SMALL, SHORT, 2)
    for steps, lengths in ((128, (0, 8)), (130, (8, 1)), (142, (8, 7)), (144, (0, 8))):
        continue_training(agent, experience, steps)
        state = agent.state_dict()
        assert (len(state["batch.actions"]), len(state["played.actions"])) == lengths


def test_more_minibatches_than_steps_are_an_error(tmp_path: Path) -> None:
    invalid = {"rollout": 2, "minibatches": 5}
    with pytest.raises(InputError, match="minibatches is 5; it must be 4 or less, because"):
        sessions.train("pqn", "CartPole", envs=2, hyperparameters=invalid, out=tmp_path / "run")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("rollout", "message"),
    [  # two rollouts of 64 environments, 28,224 bytes per step, and 21 for action and rewards
        (5_000, r"rollout would take 18\.1 GB .* 16\.0 GB .* smaller .* rollout"),
        (10**18, r"rollout would take 3615360000000000\.0 GB"),
    ],
)
def test_rollouts_larger_than_the_memory_are_an_error(
    rollout: int, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sessions, "machine_memory", lambda: 16_000_000_000)
    hyperparameters = {"rollout": rollout}
    with pytest.raises(InputError, match=message):
        sessions.train("pqn", "Breakout", hyperparameters=hyperparameters, out=tmp_path / "run")
    assert not (tmp_path / "run").exists()


# ---- the paper's order


def naive_pqn(
    config: PQNConfig, env: str, num_envs: int, updates: int, seed: int
) -> tuple[torch.nn.Module, list[float]]:
    """Run Algorithm 1 of Gallici et al. (2024), and return the network and the losses.

    It shares only the initial weights, the random streams and the environment seeds with the agent.
    """
    q = copy.deepcopy(make(registry.make(env), config, seed).q)
    optimizer = torch.optim.RAdam(q.parameters(), config.learning_rate.initial)
    rng, numbers = stream(seed, "agent"), [0] * num_envs
    envs = make_vector(env, num_envs)

    def reset(i: int) -> Any:
        mask = np.arange(num_envs) == i
        seeds: Any = [episode_seed(seed, "training", j, numbers[j]) for j in range(num_envs)]
        return envs.reset(seed=seeds, options={"reset_mask": mask})[0][i].copy()

    first: Any = [episode_seed(seed, "training", i, 0) for i in range(num_envs)]
    s = envs.reset(seed=first)[0].copy()
    steps = 0
    losses: list[float] = []
    while len(losses) < updates:
        rollout = []
        for _ in range(config.rollout):
            epsilon = config.epsilon.at(steps)
            explores = rng.random(num_envs) < epsilon
            random = rng.integers(2, size=num_envs)
            with torch.no_grad():
                a = np.where(explores, random, q(torch.as_tensor(s)).numpy().argmax(axis=1))
            following, r, terminated, truncated, _ = envs.step(a)
            rollout.append((s, a, r, following.copy(), terminated.copy(), truncated.copy()))
            s = following.copy()
            for i in np.flatnonzero(terminated | truncated).tolist():
                numbers[i] += 1
                s[i] = reset(i)
            steps += num_envs
        targets = np.zeros((config.rollout, num_envs))
        for i in range(num_envs):
            for t in reversed(range(config.rollout)):
                _, _, r, following, terminated, truncated = rollout[t]
                with torch.no_grad():
                    value = float(q(torch.as_tensor(following[i])[None]).max())
                last = t == config.rollout - 1 or truncated[i]
                mixed = value if last else 0.0
                if not last:
                    decay = config.trace_decay
                    mixed = decay * targets[t + 1, i] + (1 - decay) * value
                targets[t, i] = r[i] + (0 if terminated[i] else config.discount * mixed)
        orders = [rng.permutation(config.rollout * num_envs) for _ in range(config.epochs)]
        for rows in chain(*(np.array_split(order, config.minibatches) for order in orders)):
            error = torch.zeros(())
            for row in rows:
                t, i = divmod(int(row), num_envs)
                observation, action = rollout[t][0][i], rollout[t][1][i]
                value = q(torch.as_tensor(observation)[None])[0, action]
                error = error + 0.5 * (value - float(targets[t, i])) ** 2 / len(rows)
            optimizer.zero_grad()
            torch.autograd.backward(error)
            torch.nn.utils.clip_grad_norm_(q.parameters(), config.max_grad_norm)
            optimizer.param_groups[0]["lr"] = config.learning_rate.at(steps)
            optimizer.step()
            losses.append(float(error.detach()))
    return q, losses


def test_without_overlap_each_update_equals_the_papers_algorithm() -> None:
    """The loss of each update and the final weights equal those of a naive implementation."""
    config = small_config(overlap=False)
    updates = 10 * config.epochs * config.minibatches
    q, losses = naive_pqn(config, SHORT, 2, updates, 3)
    agent, experience = make_agent(config, SHORT, 2, 3)
    actual: list[float] = []
    learn = agent.learn

    def record(rows: Any) -> None:
        agent.metrics()
        learn(rows)
        actual.append(agent.metrics()["loss"])

    agent.learn = record  # type: ignore[method-assign]
    continue_training(agent, experience, 2 * 10 * config.rollout)
    assert agent.updates == updates
    np.testing.assert_allclose(actual, losses, rtol=1e-4)
    for weight, naive in zip(agent.q.parameters(), q.parameters(), strict=True):
        np.testing.assert_allclose(weight.detach(), naive.detach(), atol=2e-5)


@pytest.mark.parametrize("overlap", [True, False])
@pytest.mark.parametrize("steps", [4 * 16, 4 * 16 + 6])
def test_finish_learns_from_the_last_rollout(overlap: bool, steps: int) -> None:
    """At the end of training, all updates of all complete rollouts have been made."""
    config = small_config(overlap=overlap)
    agent, experience = make_agent(config, SHORT, 2)
    continue_training(agent, experience, steps)
    restored, _ = make_agent(config, SHORT, 2)
    restored.load_state_dict({key: value.copy() for key, value in agent.state_dict().items()})
    for each in (agent, restored):
        assert each.finish() is overlap
        assert each.updates == 4 * SMALL.epochs * SMALL.minibatches
        assert not each.finish()
    for key, tensor in agent.state_dict().items():
        np.testing.assert_array_equal(tensor, restored.state_dict()[key], err_msg=key)


def assert_clipped_step(agent: PQN, q: torch.nn.Module, moments: dict[str, Any]) -> None:
    """Assert that the agent made a clipped step of RAdam from `q`, its gradients and `moments`."""
    reference = torch.optim.RAdam(q.parameters(), SMALL.learning_rate.at(agent.steps))
    reference.load_state_dict(moments)
    reference.param_groups[0]["lr"] = SMALL.learning_rate.at(agent.steps)
    assert torch.nn.utils.clip_grad_norm_(q.parameters(), 0.01) > 0.01
    reference.step()
    for actual, desired in zip(agent.q.parameters(), q.parameters(), strict=True):
        np.testing.assert_allclose(actual.detach(), desired.detach(), rtol=1e-4, atol=1e-6)


def test_an_update_is_a_clipped_radam_step() -> None:
    """The gradient of half the squared error is clipped to max_grad_norm."""
    agent, experience = make_agent(small_config(max_grad_norm=0.01), SHORT, 2)
    continue_training(agent, experience, 2 * (SMALL.rollout + 3))
    rows = np.array([0, 3, 5, 9])
    q, moments = copy.deepcopy(agent.q), copy.deepcopy(agent.optimizer.state_dict())
    agent.learn(rows)

    loss = torch.zeros(())
    for row in rows:
        t, env = divmod(int(row), 2)
        observation = torch.as_tensor(agent.batch.observations[t, env])[None]
        error = q(observation)[0, agent.batch.actions[t, env]] - float(agent.targets[t, env])
        loss = loss + 0.5 * error**2 / len(rows)
    torch.autograd.backward(loss)
    assert_clipped_step(agent, q, moments)


@pytest.mark.parametrize("supported", [True, False])
@pytest.mark.parametrize("freeze", ["nothing", "conv"])
def test_updates_in_bfloat16_change_the_weights_in_float32(
    supported: bool, freeze: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without bfloat16 support, updates are computed in float32. Frozen layers do not change."""
    monkeypatch.setattr("gridcade.agents.fast.has_bfloat16", lambda _: supported)
    agent = make_image_agent(freeze=freeze)
    before = copy.deepcopy(agent.q)
    play(agent, 0, 19)
    assert agent.updates
    assert (agent.backend.compute_network is agent.q) is not supported
    dtypes = {
        w.dtype for layer in [*agent.backend.compute_network][:-1] for w in layer.parameters()
    }
    assert dtypes == {torch.bfloat16 if supported else torch.float32}
    for layers in zip(agent.q, agent.backend.compute_network, before, strict=True):
        frozen = freeze == "conv" and isinstance(layers[0], torch.nn.Conv2d | ChannelNorm)
        for weight, copied, old in zip(*(layer.parameters() for layer in layers), strict=True):
            assert weight.dtype == torch.float32
            assert torch.equal(weight, old) is frozen
            assert torch.equal(weight.to(copied.dtype), copied)


def test_an_update_in_bfloat16_is_a_clipped_step_of_the_compute_network(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("gridcade.agents.fast.has_bfloat16", lambda _: True)
    agent = make_image_agent(max_grad_norm=0.01)
    play(agent, 0, 12)
    rows = np.array([0, 3, 5, 9])
    q, moments = copy.deepcopy(agent.q), copy.deepcopy(agent.optimizer.state_dict())
    compute_network = copy.deepcopy(agent.backend.compute_network)
    agent.learn(rows)

    batch = (agent.batch.observations, agent.batch.actions, agent.targets)
    observations, actions, targets = (
        torch.as_tensor(a.reshape(-1, *a.shape[2:])[rows]) for a in batch
    )
    values = compute_network(observations)[np.arange(4), actions]
    (0.5 * (values - targets).square().mean()).backward()
    for weight, copied in zip(q.parameters(), compute_network.parameters(), strict=True):
        assert copied.grad is not None
        weight.grad = copied.grad.float()
    assert_clipped_step(agent, q, moments)


def test_take_layers_updates_the_compute_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """--init-from and trained agents rely on it: in bfloat16 the compute network is a copy."""
    monkeypatch.setattr("gridcade.agents.fast.has_bfloat16", lambda _: True)
    trained, fresh = make_image_agent(), make_image_agent(seed=1)
    play(trained, 0, 19)
    observations = trained.backend.preprocess(FRAMES[0])
    assert not np.allclose(
        fresh.backend.values(observations), trained.backend.values(observations), atol=1e-3
    )
    assert fresh.take_layers(trained.state_dict()) == []
    np.testing.assert_array_equal(
        fresh.backend.values(observations), trained.backend.values(observations)
    )


@pytest.mark.parametrize("supported", [True, False])
def test_an_evaluation_notes_bfloat16(supported: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same weights may act differently on CPUs without bfloat16 support."""
    monkeypatch.setattr("gridcade.agents.fast.has_bfloat16", lambda _: supported)
    env = "FourRooms?observation=pixels&pixels=36&time_limit=5"
    agent = make(registry.make(env), small_config(network="2013", bfloat16=True), 0)
    notes = evaluate_policy(agent, env, episodes=2).notes
    assert any("computed in bfloat16" in note for note in notes) is supported


def test_a_share_of_epsilon_of_the_actions_is_random(monkeypatch: pytest.MonkeyPatch) -> None:
    """Random actions are uniform, the best action included; epsilon follows its schedule."""
    agent = PQN(
        Spaces(ArrayEncoder(spaces.Box(0, 1, (2,))), 0, 4),
        small_config(epsilon=Schedule(0.8, 0.4, 100), rollout=2),
    )
    agent.allocate(8000, 0, in_memory)
    best = np.array([0.0, 3, 1, 2], np.float32)
    monkeypatch.setattr(agent.backend, "values", lambda x: np.tile(best, (len(x), 1)))
    for steps, epsilon in ((0, 0.8), (50, 0.6), (1000, 0.4)):
        agent.steps, agent.t = steps, 0
        assert agent.epsilon == pytest.approx(epsilon)
        shares = np.bincount(agent.act(np.zeros((8000, 2), np.float32)), minlength=4) / 8000
        expected = np.array([0, 1 - epsilon, 0, 0]) + epsilon / 4
        np.testing.assert_allclose(shares, expected, atol=0.025)  # more than four standard errors


@pytest.mark.parametrize("agent", ["dqn", "pqn"])
@pytest.mark.parametrize("env", ["CartPole", "FourRooms?observation=pixels&pixels=20"])
def test_without_convolutions_bfloat16_presets_train_in_float32(
    agent: str, env: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The image presets set bfloat16 and choose the network automatically."""
    monkeypatch.setattr("gridcade.agents.fast.has_bfloat16", lambda _: True)
    preset = agents.find(agent).image_preset
    hyperparameters = (
        {"rollout": 4} if agent == "pqn" else {"learn_start": 64, "replay_capacity": 500}
    )
    run = sessions.train(
        agent,
        env,
        preset=preset,
        steps=600,
        hyperparameters=hyperparameters,
        out=tmp_path / "run",
    )
    assert run.config.hyperparameters.bfloat16  # type: ignore[attr-defined]
    (session,) = json.loads((run.path / "provenance.json").read_text())["sessions"]
    assert session["precision"] == "float32"
    assert run.metrics()[-1]["updates"] > 0
    weights = run.load_agent(run.last_checkpoint())
    assert all(np.isfinite(w).all() for name, w in weights.items() if name.startswith("q."))


CHAIN = "slip: 0.1\nmap:\nS.....G\n"


@pytest.mark.parametrize(
    ("world", "trace_decay", "epsilon"),
    [
        ("chain", 0.0, 0.2),
        pytest.param("RussellNorvig4x3", 0.0, 0.2, marks=pytest.mark.slow),
        # With traces, the targets depend on the exploring policy; hence no exploration at the end.
        pytest.param("chain", 0.65, 0.0, marks=pytest.mark.slow),
    ],
)
def test_values_approach_the_exact_values(
    world: str, trace_decay: float, epsilon: float, tmp_path: Path
) -> None:
    """max_a Q of every state that is not terminal is compared with the exact optimum."""
    if world == "chain":
        (tmp_path / "chain.txt").write_text(CHAIN)
        world = str(tmp_path / "chain.txt")
    config = PQNConfig(
        hidden=(64,),
        trace_decay=trace_decay,
        discount=0.95,
        rollout=16,
        minibatches=2,
        epsilon=Schedule(1.0, epsilon, 30_000),
        learning_rate=Schedule(0.003, 0.0001, 60_000),
        clip_rewards=False,
    )
    name = f"{world}?observation=one_hot"
    agent, experience = make_agent(config, name, 16)
    continue_training(agent, experience, 60_000)
    env: Any = registry.make(name)
    model = registry.known_model(env)
    assert model is not None
    optimal = solver.solve(model, "discounted", 0.95).values
    observations = np.array([env.unwrapped.encode(s) for s in range(model.num_states)])
    values, nonterminal = agent.backend.values(observations).max(axis=1), optimal != 0
    np.testing.assert_allclose(values[nonterminal], optimal[nonterminal], atol=0.06)


# ---- state


@pytest.mark.parametrize("freeze", ["nothing", "conv"])
def test_a_restored_state_in_bfloat16_continues_bit_for_bit(
    freeze: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gridcade.agents.fast.has_bfloat16", lambda _: True)
    fields = {"freeze": freeze, "average_over": 5}
    agent, restored = (make_image_agent(**fields, seed=seed) for seed in (0, 1))
    play(agent, 0, 13)
    restored.load_state_dict({k: v.copy() for k, v in agent.state_dict().items()})
    for each in (agent, restored):
        play(each, 13, 30)
    assert set(restored.state_dict()) == set(agent.state_dict())
    for key, tensor in restored.state_dict().items():
        np.testing.assert_array_equal(tensor, agent.state_dict()[key], err_msg=key)


@pytest.mark.parametrize("overlap", [True, False])
@pytest.mark.parametrize("steps", [10, 100, 128, 130])
def test_a_restored_state_continues_bit_for_bit(steps: int, overlap: bool) -> None:
    """The state is saved in the first rollout, within a later one, and between two rollouts."""
    config = small_config(overlap=overlap, average_over=5)
    agent, experience = make_agent(config, SHORT, 2, 3)
    continue_training(agent, experience, steps)
    state = {k: v.copy() for k, v in agent.state_dict().items()}
    env_state = experience.env_state()
    continue_training(agent, experience, 260)
    expected = agent.state_dict()

    restored, continued = make_agent(config, SHORT, 2, 3)
    restored.load_state_dict(state)
    continued.load_env_state(env_state)
    continue_training(restored, continued, 260)
    assert set(restored.state_dict()) == set(expected)
    for key, tensor in restored.state_dict().items():
        np.testing.assert_array_equal(tensor, expected[key], err_msg=key)


def test_a_checkpoint_can_act_in_another_number_of_environments() -> None:
    """With another number of environments, only the weights are restored, not the rollout."""
    agent, experience = make_agent(SMALL, "CartPole-v1", 2)
    continue_training(agent, experience, 100)
    single = make(gym.make("CartPole-v1"), SMALL, 9)
    single.load_state_dict(agent.state_dict())
    observations = np.random.default_rng(0).normal(size=(9, 4)).astype(np.float32)
    np.testing.assert_array_equal(
        single.backend.values(observations), agent.backend.values(observations)
    )


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"epochs": 3}, "'order' has 2 rows, not 3"),
        ({"rollout": 9}, "'targets' has shape \\(8, 2\\), not \\(9, 2\\)"),
        ({"hidden": (17,)}, r"'q.1.weight' has shape \(16, 4\), not \(17, 4\)"),
    ],
)
def test_a_state_that_does_not_fit_is_an_error(fields: dict[str, Any], message: str) -> None:
    agent, experience = make_agent(SMALL, "CartPole-v1", 2)
    continue_training(agent, experience, 100)
    other, _ = make_agent(small_config(**fields), "CartPole-v1", 2)
    with pytest.raises(ValueError, match=message):
        other.load_state_dict(agent.state_dict())
    for key in agent.state_dict():
        incomplete = {k: v for k, v in agent.state_dict().items() if k != key}
        with pytest.raises(ValueError, match=f"it lacks the tensor '{key}'"):
            agent.load_state_dict(incomplete)
    no_moments = {k: v for k, v in agent.state_dict().items() if not k.startswith("optimizer.")}
    with pytest.raises(ValueError, match="it lacks the tensor 'optimizer"):
        agent.load_state_dict(no_moments)


def test_metrics_report_learning() -> None:
    agent, experience = make_agent(SMALL, "CartPole-v1", 2)
    continue_training(agent, experience, 10)
    assert set(agent.metrics()) == {"epsilon", "learning_rate", "updates"}
    original, losses, means = agent.learn, [], []

    def learn(rows: Any) -> None:
        q = agent.backend.compute_network(
            torch.as_tensor(agent.batch.observations.reshape(-1, 4)[rows])
        )
        values = q.detach().numpy()[np.arange(len(rows)), agent.batch.actions.reshape(-1)[rows]]
        losses.append(0.5 * np.mean((values - agent.targets.reshape(-1)[rows]) ** 2))
        if not agent.learned:  # the first update of the rollout
            means.append(agent.batch.next_values[agent.batch.discounts > 0].mean())
        original(rows)

    agent.learn = learn  # type: ignore[method-assign]
    continue_training(agent, experience, 100)
    metrics = agent.metrics()
    assert metrics["updates"] == agent.updates > 0
    assert metrics["loss"] == pytest.approx(np.mean(losses), rel=1e-4)
    assert metrics["mean_max_q"] == pytest.approx(np.mean(means), rel=1e-4)
    assert metrics["learning_rate"] == pytest.approx(0.01 - 0.009 * agent.steps / 400)


def test_an_error_names_the_cause_of_values_that_are_not_finite() -> None:
    agent = make(gym.make("CartPole-v1"), PQNConfig(network="mlp"), 0)
    with pytest.raises(InputError, match="returned an observation that is infinite"):
        agent.probabilities(np.array([[0, np.inf, 0, 0]], np.float32))
    with torch.no_grad():
        next(agent.q.parameters())[:] = torch.nan
    agent.backend.weights_changed()
    with pytest.raises(InputError, match="action values are not finite: learning diverged"):
        agent.probabilities(np.zeros((1, 4), np.float32))


def test_a_diverging_loss_is_an_error() -> None:
    agent, experience = make_agent(SMALL, "CartPole-v1", 2)
    continue_training(agent, experience, 20)
    with torch.no_grad():
        for parameter in agent.q.parameters():
            parameter.fill_(float("inf"))
    with pytest.raises(InputError, match="the loss is nan at update"):
        agent.learn(np.arange(4))


@pytest.mark.parametrize(
    ("env", "preset", "clips"),
    [
        ("Breakout", "two-core-pqn", True),
        ("CliffWalk?observation=pixels", "pixels-pqn", False),
        ("CartPole", "vector-pqn", False),
    ],
)
def test_the_observations_determine_the_preset(env: str, preset: str, clips: bool) -> None:
    """Only Atari presets clip rewards: in CliffWalk, a fall must cost more than a step."""
    kind = agents.find("pqn")
    with closing(registry.make(env)) as single:
        assert kind.preset_for(single) == preset
    config = read_recipe(kind, preset).hyperparameters
    assert isinstance(config, PQNConfig)
    assert config.clip_rewards is clips


def test_the_preset_has_the_values_of_the_paper() -> None:
    """Gallici et al. (2024): the Atari settings of the authors."""
    kind = agents.find("pqn")
    config = read_recipe(kind, "gallici2024").hyperparameters
    assert config == PQNConfig(
        network="2015",
        discount=0.99,
        trace_decay=0.65,
        rollout=32,
        epochs=2,
        minibatches=32,
        epsilon=Schedule(1.0, 0.001, 5_000_000),
        learning_rate=Schedule(0.00025),
        max_grad_norm=10.0,
        clip_rewards=True,
        overlap=False,
    )
    preset = tomllib.loads(kind.preset("gallici2024").read_text())
    assert (preset["steps"], preset["envs"]) == (50_000_000, 128)


@pytest.mark.parametrize(
    ("invalid", "message"),
    [
        ({"discount": 1.1}, "discount is 1.1"),
        ({"trace_decay": -0.1}, "trace_decay is -0.1"),
        ({"rollout": 0}, "rollout is 0"),
        ({"hidden": (8, 0)}, r"hidden is \(8, 0\)"),
        ({"max_grad_norm": 0.0}, "max_grad_norm is 0.0"),
        ({"learning_rate": Schedule(2.0)}, "learning_rate.initial is 2.0"),
        ({"learning_rate": Schedule(0.0)}, "learning_rate.initial is 0.0; it must be more than 0"),
        ({"epsilon": Schedule(1.0, power=0.5)}, "it must be 0, because only tabular agents"),
    ],
)
def test_invalid_hyperparameters_are_an_error(invalid: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        small_config(**invalid)


def test_an_unsuitable_environment_is_an_error() -> None:
    with pytest.raises(InputError, match="pqn needs finitely many actions"):
        make(registry.make("Pendulum"), SMALL, 0)
