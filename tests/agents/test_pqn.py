"""PQN: its targets against a naive recursion, its minibatches, its state, the values it learns."""

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
SHORT = "CartPole-v1?max_episode_steps=9"  # episodes are truncated in the midst of rollouts


def changed(**fields: Any) -> PQNConfig:
    return replace(SMALL, **fields)


def started(config: PQNConfig, env: str, envs: int, seed: int = 0) -> tuple[PQN, Experience]:
    agent = make(registry.make(env), config, seed)
    agent.allocate(envs, 0, in_memory)
    return agent, Experience(make_vector(env, envs), seed)


def go_on(agent: PQN, experience: Experience, until: int) -> None:
    steps = experience.steps(agent, agent.overlap_updates)
    while agent.steps < until:
        next(steps)


FRAMES = np.random.default_rng(0).integers(0, 256, (31, 2, 4, 36, 36), dtype=np.uint8)


def pictured(seed: int = 0, **fields: Any) -> PQN:
    """An agent of two environments that are seen as images, with passes in bfloat16."""
    config = changed(network="2013", bfloat16=True, **fields)
    agent = PQN(Spaces((4, 36, 36), np.uint8, 4, 3), config, seed)
    agent.allocate(2, 0, in_memory)
    return agent


def play(agent: PQN, begin: int, end: int) -> None:
    """Go through some of FRAMES."""
    no = np.zeros(2, bool)
    for t in range(begin, end):
        actions = agent.act(FRAMES[t])
        agent.update()
        agent.observe(Step(FRAMES[t], actions, np.ones(2), FRAMES[t + 1], no, no, FRAMES[t + 1]))


# ---- targets


def naive_return(t: int, decay: float, episode: dict[str, NDArray[Any]]) -> float:
    """G_t of one environment by its recursion, written as Gallici et al. do."""
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
def test_targets_are_the_papers(seed: int, length: int, envs: int, decay: float) -> None:
    rng = np.random.default_rng(seed)
    shape = (length, envs)
    r, v = rng.normal(size=(2, *shape)).astype(np.float32)
    gamma = np.where(rng.random(shape) < 0.2, 0, 0.9).astype(np.float32)
    truncated = rng.random(shape) < 0.2
    carried = np.where(truncated, 0, decay).astype(np.float32)
    found = lambda_returns(r, gamma, v, carried)
    for env in range(envs):
        terms = {"r": r, "gamma": gamma, "v": v, "truncated": truncated}
        episode = {name: term[:, env] for name, term in terms.items()}
        expected = [naive_return(t, decay, episode) for t in range(length)]
        np.testing.assert_allclose(found[:, env], expected, rtol=1e-4, atol=1e-5)


def test_lambda_0_is_one_step_and_lambda_1_is_monte_carlo() -> None:
    rng = np.random.default_rng(0)
    r, v = rng.normal(size=(2, 6, 2)).astype(np.float32)
    gamma = np.full((6, 2), 0.9, np.float32)
    gamma[5] = 0  # the episode's end
    zero, one = np.zeros_like(r), np.ones_like(r)
    np.testing.assert_allclose(lambda_returns(r, gamma, v, zero), r + gamma * v, rtol=1e-6)
    discounted = [sum(0.9**k * r[t + k] for k in range(6 - t)) for t in range(6)]
    np.testing.assert_allclose(lambda_returns(r, gamma, v, one), discounted, rtol=1e-5)


@pytest.mark.parametrize("env", [SHORT, "FourRooms?observation=one_hot&time_limit=11", "Breakout"])
@pytest.mark.parametrize("envs", [1, 3])
def test_a_rollout_is_what_happened(env: str, envs: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every rollout's observations, actions and targets, from all steps as they were met."""
    agent, experience = started(changed(trace_decay=0.7), env, envs)

    def values(seen: Any) -> Any:  # that stand still, so that targets can be told afterwards
        x = np.asarray(seen, np.float64).reshape(len(seen), -1)
        x = x[:, :: max(x.shape[1] // 500, 1)]  # from all over the screen
        weights = np.random.default_rng(0).normal(size=(x.shape[1], agent.spaces.num_actions))
        return (x @ weights).astype(np.float32)

    monkeypatch.setattr(agent.backend, "values", values)

    def ends(step: Step) -> Any:
        return step.terminated | (False if step.life_lost is None else step.life_lost)

    met: list[Step] = []
    steps, rollouts, many = (
        experience.steps(agent, agent.overlap_updates),
        0,
        400 if env == "Breakout" else 60,
    )
    for _ in range(many):
        closed = agent.t == SMALL.rollout  # the next step makes it the batch
        past = met[-SMALL.rollout :]
        met.append(next(steps))
        if not closed:
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
            ours = agent.targets[:, i]
            np.testing.assert_allclose(ours, expected, rtol=1e-4, atol=1e-5)
    assert rollouts == (many - 1) // SMALL.rollout
    happens = "life_lost" if env == "Breakout" else "truncated"
    assert np.any([getattr(step, happens) for step in met])


def test_a_lost_life_ends_bootstrapping_and_not_the_game() -> None:
    agent = make(gym.make("CartPole-v1"), changed(clip_rewards=True, rollout=2), 0)
    agent.allocate(1, 0, in_memory)
    zeros = np.zeros((1, 4), np.float32)
    for lost in (True, False):
        agent.act(zeros)
        agent.update()
        no, life = np.array([False]), np.array([lost])
        agent.observe(Step(zeros, np.array([1]), np.array([7.0]), zeros, no, no, zeros, life))
    assert agent.played.discounts[:, 0].tolist() == pytest.approx([0, 0.99])
    assert agent.played.rewards[:, 0].tolist() == [1, 1]
    assert not agent.played.truncated.any()


# ---- learning


@settings(max_examples=10, deadline=None)
@given(rollout=st.integers(1, 9), epochs=st.integers(1, 3), minibatches=st.integers(1, 12))
def test_each_step_is_learnt_from_once_an_epoch(
    rollout: int, epochs: int, minibatches: int
) -> None:
    """Minibatches are spread over the next rollout, and are done when it ends."""
    minibatches = min(minibatches, 2 * rollout)
    config = changed(rollout=rollout, epochs=epochs, minibatches=minibatches)
    agent, experience = started(config, "CartPole-v1", 2)
    learnt: list[list[list[int]]] = []

    def count(rows: Any) -> None:
        learnt[-1].append(rows.tolist())
        agent.updates += 1

    agent.learn = count  # type: ignore[method-assign]
    steps = experience.steps(agent, agent.overlap_updates)
    for t in range(4 * rollout):
        if t % rollout == 0:
            learnt.append([])
        before = agent.updates
        next(steps)
        most = -(-epochs * minibatches // rollout)
        assert agent.updates - before <= most
    assert learnt[0] == []
    for batches in learnt[1:]:
        for epoch in range(epochs):
            passed = [*chain(*batches[epoch * minibatches : (epoch + 1) * minibatches])]
            assert sorted(passed) == [*range(2 * rollout)]


def test_what_is_learnt_already_is_not_kept() -> None:
    """A checkpoint holds a rollout, and the next one as far as it is played, until it is learnt."""
    agent, experience = started(SMALL, SHORT, 2)
    for steps, kept in ((128, (0, 8)), (130, (8, 1)), (142, (8, 7)), (144, (0, 8))):
        go_on(agent, experience, steps)
        state = agent.state_dict()
        assert (len(state["batch.actions"]), len(state["played.actions"])) == kept


def test_more_minibatches_than_steps_are_told(tmp_path: Path) -> None:
    wrong = {"rollout": 2, "minibatches": 5}
    with pytest.raises(InputError, match="minibatches is 5; it must be 4 or less here"):
        sessions.train("pqn", "CartPole", envs=2, hyperparameters=wrong, out=tmp_path / "run")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("rollout", "said"),
    [  # two rollouts in each of 64 environments, 28,224 bytes a step
        (5_000, r"rollout would take 18\.1 GB .* 16\.0 GB .* smaller .* rollout"),
        (10**18, r"rollout would take 3612672000000000\.0 GB"),
    ],
)
def test_rollouts_beyond_this_machines_memory_are_refused(
    rollout: int, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sessions, "machine_memory", lambda: 16_000_000_000)
    given = {"rollout": rollout}
    with pytest.raises(InputError, match=said):
        sessions.train("pqn", "Breakout", hyperparameters=given, out=tmp_path / "run")
    assert not (tmp_path / "run").exists()


# ---- the paper's order


def naive_pqn(
    config: PQNConfig, env: str, num_envs: int, updates: int, seed: int
) -> tuple[torch.nn.Module, list[float]]:
    """Algorithm 1 of Gallici et al. (2024), transcribed; returns the network and the losses.

    It shares with the agent the first weights, the random streams and the environments' seeds, and
    nothing else.
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
                seen, action = rollout[t][0][i], rollout[t][1][i]
                value = q(torch.as_tensor(seen)[None])[0, action]
                error = error + 0.5 * (value - float(targets[t, i])) ** 2 / len(rows)
            optimizer.zero_grad()
            torch.autograd.backward(error)
            torch.nn.utils.clip_grad_norm_(q.parameters(), config.max_grad_norm)
            optimizer.param_groups[0]["lr"] = config.learning_rate.at(steps)
            optimizer.step()
            losses.append(float(error.detach()))
    return q, losses


def test_without_overlap_it_is_the_papers_algorithm_update_by_update() -> None:
    """The loss of each update, and the weights, agree with a naive transcription."""
    config = changed(overlap=False)
    updates = 10 * config.epochs * config.minibatches
    q, losses = naive_pqn(config, SHORT, 2, updates, 3)
    agent, experience = started(config, SHORT, 2, 3)
    found: list[float] = []
    learn = agent.learn

    def noted(rows: Any) -> None:
        agent.metrics()
        learn(rows)
        found.append(agent.metrics()["loss"])

    agent.learn = noted  # type: ignore[method-assign]
    go_on(agent, experience, 2 * 10 * config.rollout)
    assert agent.updates == updates
    np.testing.assert_allclose(found, losses, rtol=1e-4)
    for ours, naive in zip(agent.q.parameters(), q.parameters(), strict=True):
        np.testing.assert_allclose(ours.detach(), naive.detach(), atol=2e-5)


@pytest.mark.parametrize("overlap", [True, False])
@pytest.mark.parametrize("steps", [4 * 16, 4 * 16 + 6])
def test_the_last_rollout_is_learned_from(overlap: bool, steps: int) -> None:
    """At the end of training all rollouts that were completed have given their updates."""
    config = changed(overlap=overlap)
    agent, experience = started(config, SHORT, 2)
    go_on(agent, experience, steps)
    restored, _ = started(config, SHORT, 2)
    restored.load_state_dict({key: value.copy() for key, value in agent.state_dict().items()})
    for each in (agent, restored):
        assert each.finish() is overlap
        assert each.updates == 4 * SMALL.epochs * SMALL.minibatches
        assert not each.finish()
    for key, tensor in agent.state_dict().items():
        np.testing.assert_array_equal(tensor, restored.state_dict()[key], err_msg=key)


def has_made_a_clipped_step(agent: PQN, q: torch.nn.Module, moments: dict[str, Any]) -> None:
    """Of PyTorch's RAdam, from the weights and moments before, on the gradients that q has."""
    reference = torch.optim.RAdam(q.parameters(), SMALL.learning_rate.at(agent.steps))
    reference.load_state_dict(moments)
    reference.param_groups[0]["lr"] = SMALL.learning_rate.at(agent.steps)
    assert torch.nn.utils.clip_grad_norm_(q.parameters(), 0.01) > 0.01
    reference.step()
    for ours, plain in zip(agent.q.parameters(), q.parameters(), strict=True):
        np.testing.assert_allclose(ours.detach(), plain.detach(), rtol=1e-4, atol=1e-6)


def test_an_update_is_a_clipped_step_of_radam() -> None:
    """Down the gradient of half the squared error, no longer than the norm allowed."""
    agent, experience = started(changed(max_grad_norm=0.01), SHORT, 2)
    go_on(agent, experience, 2 * (SMALL.rollout + 3))
    rows = np.array([0, 3, 5, 9])
    q, moments = copy.deepcopy(agent.q), copy.deepcopy(agent.optimizer.state_dict())
    agent.learn(rows)

    total = torch.zeros(())
    for row in rows:
        t, env = divmod(int(row), 2)
        seen = torch.as_tensor(agent.batch.observations[t, env])[None]
        error = q(seen)[0, agent.batch.actions[t, env]] - float(agent.targets[t, env])
        total = total + 0.5 * error**2 / len(rows)
    torch.autograd.backward(total)
    has_made_a_clipped_step(agent, q, moments)


@pytest.mark.parametrize("has_units", [True, False])
@pytest.mark.parametrize("freeze", ["nothing", "conv"])
def test_passes_in_bfloat16_teach_the_weights_in_float32(
    has_units: bool, freeze: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the processor has no units for it, passes are in float32 too. Frozen layers stay."""
    monkeypatch.setattr("gridcade.agents.fast.has_bfloat16", lambda _: has_units)
    agent = pictured(freeze=freeze)
    before = copy.deepcopy(agent.q)
    play(agent, 0, 19)
    assert agent.updates
    assert (agent.backend.compute_network is agent.q) is not has_units
    lower = {w.dtype for layer in [*agent.backend.compute_network][:-1] for w in layer.parameters()}
    assert lower == {torch.bfloat16 if has_units else torch.float32}
    for layers in zip(agent.q, agent.backend.compute_network, before, strict=True):
        stays = freeze == "conv" and isinstance(layers[0], torch.nn.Conv2d | ChannelNorm)
        for weight, copied, then in zip(*(layer.parameters() for layer in layers), strict=True):
            assert weight.dtype == torch.float32
            assert torch.equal(weight, then) is stays
            assert torch.equal(weight.to(copied.dtype), copied)


def test_an_update_in_bfloat16_is_a_clipped_step_down_the_gradient_of_the_passes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("gridcade.agents.fast.has_bfloat16", lambda _: True)
    agent = pictured(max_grad_norm=0.01)
    play(agent, 0, 12)
    rows = np.array([0, 3, 5, 9])
    q, moments = copy.deepcopy(agent.q), copy.deepcopy(agent.optimizer.state_dict())
    passes = copy.deepcopy(agent.backend.compute_network)
    agent.learn(rows)

    batch = (agent.batch.observations, agent.batch.actions, agent.targets)
    seen, actions, targets = (torch.as_tensor(a.reshape(-1, *a.shape[2:])[rows]) for a in batch)
    values = passes(seen)[np.arange(4), actions]
    (0.5 * (values - targets).square().mean()).backward()
    for weight, low in zip(q.parameters(), passes.parameters(), strict=True):
        assert low.grad is not None
        weight.grad = low.grad.float()
    has_made_a_clipped_step(agent, q, moments)


def test_layers_that_are_taken_are_those_that_it_acts_by(monkeypatch: pytest.MonkeyPatch) -> None:
    """--init-from, and agents that come trained: in bfloat16 the passes are another network."""
    monkeypatch.setattr("gridcade.agents.fast.has_bfloat16", lambda _: True)
    learnt, fresh = pictured(), pictured(seed=1)
    play(learnt, 0, 19)
    seen = learnt.backend.preprocess(FRAMES[0])
    assert not np.allclose(fresh.backend.values(seen), learnt.backend.values(seen), atol=1e-3)
    assert fresh.take_layers(learnt.state_dict()) == []
    np.testing.assert_array_equal(fresh.backend.values(seen), learnt.backend.values(seen))


@pytest.mark.parametrize("has_units", [True, False])
def test_an_evaluation_tells_of_bfloat16(has_units: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same weights play other games where a processor has no units for it."""
    monkeypatch.setattr("gridcade.agents.fast.has_bfloat16", lambda _: has_units)
    env = "FourRooms?observation=pixels&pixels=36&time_limit=5"
    agent = make(registry.make(env), changed(network="2013", bfloat16=True), 0)
    notes = evaluate_policy(agent, env, episodes=2).notes
    assert any("computed in bfloat16" in note for note in notes) is has_units


def test_a_share_of_epsilon_acts_at_random(monkeypatch: pytest.MonkeyPatch) -> None:
    """Evenly over all actions, the best included; and the share falls as its schedule says."""
    agent = PQN(Spaces((2,), np.float32, 0, 4), changed(epsilon=Schedule(0.8, 0.4, 100), rollout=2))
    agent.allocate(8000, 0, in_memory)
    best = np.array([0.0, 3, 1, 2], np.float32)
    monkeypatch.setattr(agent.backend, "values", lambda seen: np.tile(best, (len(seen), 1)))
    for steps, epsilon in ((0, 0.8), (50, 0.6), (1000, 0.4)):
        agent.steps, agent.t = steps, 0
        assert agent.epsilon == pytest.approx(epsilon)
        shares = np.bincount(agent.act(np.zeros((8000, 2), np.float32)), minlength=4) / 8000
        expected = np.array([0, 1 - epsilon, 0, 0]) + epsilon / 4
        np.testing.assert_allclose(shares, expected, atol=0.025)  # over four standard errors


@pytest.mark.parametrize("agent", ["dqn", "pqn"])
@pytest.mark.parametrize("env", ["CartPole", "FourRooms?observation=pixels&pixels=20"])
def test_what_is_no_picture_for_convolutions_is_learnt_in_float32(
    agent: str, env: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The laptop's presets ask for bfloat16, and for a network as it fits."""
    monkeypatch.setattr("gridcade.agents.fast.has_bfloat16", lambda _: True)
    preset = agents.find(agent).image_preset
    small = {"rollout": 4} if agent == "pqn" else {"learn_start": 64, "replay_capacity": 500}
    run = sessions.train(
        agent, env, preset=preset, steps=600, hyperparameters=small, out=tmp_path / "run"
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
        # with traces, targets are in part those of the exploring policy
        pytest.param("chain", 0.65, 0.0, marks=pytest.mark.slow),
    ],
)
def test_values_approach_the_exact_ones(
    world: str, trace_decay: float, epsilon: float, tmp_path: Path
) -> None:
    """max_a Q of every state that is not an end, beside the optimum, which is known."""
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
    agent, experience = started(config, name, 16)
    go_on(agent, experience, 60_000)
    env: Any = registry.make(name)
    model = registry.known_model(env)
    assert model is not None
    best = solver.solve(model, "discounted", 0.95).values
    seen = np.array([env.unwrapped.encode(s) for s in range(model.num_states)])
    ours, inside = agent.backend.values(seen).max(axis=1), best != 0
    np.testing.assert_allclose(ours[inside], best[inside], atol=0.06)


# ---- state


@pytest.mark.parametrize("freeze", ["nothing", "conv"])
def test_learning_in_bfloat16_goes_on_bit_for_bit(
    freeze: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gridcade.agents.fast.has_bfloat16", lambda _: True)
    agent, again = pictured(freeze=freeze), pictured(freeze=freeze, seed=1)
    play(agent, 0, 13)
    again.load_state_dict({k: v.copy() for k, v in agent.state_dict().items()})
    for each in (agent, again):
        play(each, 13, 30)
    assert set(again.state_dict()) == set(agent.state_dict())
    for key, tensor in again.state_dict().items():
        np.testing.assert_array_equal(tensor, agent.state_dict()[key], err_msg=key)


@pytest.mark.parametrize("overlap", [True, False])
@pytest.mark.parametrize("steps", [10, 100, 128, 130])
def test_state_comes_out_and_goes_back_in(steps: int, overlap: bool) -> None:
    """In the first rollout, within one, between two: learning goes on bit for bit."""
    config = changed(overlap=overlap)
    agent, experience = started(config, SHORT, 2, 3)
    go_on(agent, experience, steps)
    state = {k: v.copy() for k, v in agent.state_dict().items()}
    place = experience.env_state()
    go_on(agent, experience, 260)
    expected = agent.state_dict()

    again, elsewhere = started(config, SHORT, 2, 3)
    again.load_state_dict(state)
    elsewhere.load_env_state(place)
    go_on(again, elsewhere, 260)
    assert set(again.state_dict()) == set(expected)
    for key, tensor in again.state_dict().items():
        np.testing.assert_array_equal(tensor, expected[key], err_msg=key)


def test_it_acts_where_other_environments_run() -> None:
    """A checkpoint of two environments serves one: the weights are there, the rollout is not."""
    agent, experience = started(SMALL, "CartPole-v1", 2)
    go_on(agent, experience, 100)
    alone = make(gym.make("CartPole-v1"), SMALL, 9)
    alone.load_state_dict(agent.state_dict())
    observations = np.random.default_rng(0).normal(size=(9, 4)).astype(np.float32)
    np.testing.assert_array_equal(
        alone.backend.values(observations), agent.backend.values(observations)
    )


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"epochs": 3}, "'order' has 2 rows, not 3"),
        ({"rollout": 9}, "'targets' has shape \\(8, 2\\), not \\(9, 2\\)"),
        ({"hidden": (17,)}, r"'q.1.weight' has shape \(16, 4\), not \(17, 4\)"),
    ],
)
def test_a_state_of_another_form_is_told(fields: dict[str, Any], message: str) -> None:
    agent, experience = started(SMALL, "CartPole-v1", 2)
    go_on(agent, experience, 100)
    other, _ = started(changed(**fields), "CartPole-v1", 2)
    with pytest.raises(ValueError, match=message):
        other.load_state_dict(agent.state_dict())
    for key in agent.state_dict():
        part = {k: v for k, v in agent.state_dict().items() if k != key}
        with pytest.raises(ValueError, match=f"it lacks the tensor '{key}'"):
            agent.load_state_dict(part)
    no_moments = {k: v for k, v in agent.state_dict().items() if not k.startswith("optimizer.")}
    with pytest.raises(ValueError, match="it lacks the tensor 'optimizer"):
        agent.load_state_dict(no_moments)


def test_metrics_tell_of_learning() -> None:
    agent, experience = started(SMALL, "CartPole-v1", 2)
    go_on(agent, experience, 10)
    assert set(agent.metrics()) == {"epsilon", "learning_rate", "updates"}
    learnt, losses, means = agent.learn, [], []

    def learn(rows: Any) -> None:
        q = agent.backend.compute_network(
            torch.as_tensor(agent.batch.observations.reshape(-1, 4)[rows])
        )
        taken = q.detach().numpy()[np.arange(len(rows)), agent.batch.actions.reshape(-1)[rows]]
        losses.append(0.5 * np.mean((taken - agent.targets.reshape(-1)[rows]) ** 2))
        if not agent.learned:  # the rollout's first
            means.append(agent.batch.next_values[agent.batch.discounts > 0].mean())
        learnt(rows)

    agent.learn = learn  # type: ignore[method-assign]
    go_on(agent, experience, 100)
    found = agent.metrics()
    assert found["updates"] == agent.updates > 0
    assert found["loss"] == pytest.approx(np.mean(losses), rel=1e-4)
    assert found["mean_max_q"] == pytest.approx(np.mean(means), rel=1e-4)
    assert found["learning_rate"] == pytest.approx(0.01 - 0.009 * agent.steps / 400)


def test_a_loss_that_diverges_is_told() -> None:
    agent, experience = started(SMALL, "CartPole-v1", 2)
    go_on(agent, experience, 20)
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
def test_what_is_seen_decides_the_preset(env: str, preset: str, clips: bool) -> None:
    """Rewards are clipped in the arcade only: a fall off a cliff is worse than a step."""
    kind = agents.find("pqn")
    with closing(registry.make(env)) as single:
        assert kind.preset_for(single.observation_space) == preset
    config = read_recipe(kind, preset).hyperparameters
    assert isinstance(config, PQNConfig)
    assert config.clip_rewards is clips


def test_the_papers_preset_has_its_values() -> None:
    """Gallici et al. (2024), the authors' Atari settings."""
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
    ("wrong", "message"),
    [
        ({"discount": 1.1}, "discount is 1.1"),
        ({"trace_decay": -0.1}, "trace_decay is -0.1"),
        ({"rollout": 0}, "rollout is 0"),
        ({"hidden": (8, 0)}, r"hidden is \(8, 0\)"),
        ({"max_grad_norm": 0.0}, "max_grad_norm is 0.0"),
        ({"learning_rate": Schedule(2.0)}, "learning_rate.initial is 2.0"),
        ({"learning_rate": Schedule(0.0)}, "learning_rate.initial is 0.0; it must be more than 0"),
        ({"epsilon": Schedule(1.0, power=0.5)}, "a network lacks"),
    ],
)
def test_wrong_hyperparameters_are_told(wrong: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        changed(**wrong)


def test_environments_that_do_not_fit_are_told() -> None:
    with pytest.raises(InputError, match=r"pqn needs arrays.*observation=one_hot"):
        make(registry.make("FourRooms"), SMALL, 0)
