"""PQN: its targets against a naive recursion, its minibatches, its state, the values it learns."""

import copy
import json
import tomllib
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
from gridcade.agents.deep import Form
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
from gridcade.training import sessions

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
    agent.attach(envs)
    return agent, Experience(make_vector(env, envs), seed)


def go_on(agent: PQN, experience: Experience, until: int) -> None:
    steps = experience.steps(agent)
    while agent.steps < until:
        next(steps)


FRAMES = np.random.default_rng(0).integers(0, 256, (31, 2, 4, 36, 36), dtype=np.uint8)


def pictured(seed: int = 0, **fields: Any) -> PQN:
    """An agent of two environments that are seen as images, with passes in bfloat16."""
    config = changed(network="2013", bfloat16=True, **fields)
    agent = PQN(Form((4, 36, 36), np.uint8, 4, 3), config, seed)
    agent.attach(2)
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
        weights = np.random.default_rng(0).normal(size=(x.shape[1], agent._num_actions))
        return (x @ weights).astype(np.float32)

    monkeypatch.setattr(agent, "_values", values)

    def ends(step: Step) -> Any:
        return step.terminated | (False if step.life_lost is None else step.life_lost)

    met: list[Step] = []
    steps, rollouts, many = experience.steps(agent), 0, 400 if env == "Breakout" else 60
    for _ in range(many):
        closed = agent._t == SMALL.rollout  # the next step makes it the batch
        past = met[-SMALL.rollout :]
        met.append(next(steps))
        if not closed:
            continue
        rollouts += 1
        observations = np.array([agent._seen(step.observations) for step in past])  # [T, envs, …]
        np.testing.assert_array_equal(agent._batch.observations, observations)
        np.testing.assert_array_equal(agent._batch.actions, [step.actions for step in past])
        for i in range(envs):
            episode = {
                "r": np.array([step.rewards[i] for step in past]),
                "v": np.array([values(agent._seen(s.next_observations))[i].max() for s in past]),
                "truncated": np.array([s.truncated[i] and not s.terminated[i] for s in past]),
                "gamma": np.array([0 if ends(s)[i] else 0.99 for s in past]),
            }
            expected = [naive_return(t, 0.7, episode) for t in range(SMALL.rollout)]
            ours = agent._returns[:, i]
            np.testing.assert_allclose(ours, expected, rtol=1e-4, atol=1e-5)
    assert rollouts == (many - 1) // SMALL.rollout
    happens = "life_lost" if env == "Breakout" else "truncated"
    assert np.any([getattr(step, happens) for step in met])


def test_a_lost_life_ends_bootstrapping_and_not_the_game() -> None:
    agent = make(gym.make("CartPole-v1"), changed(clip_rewards=True, rollout=2), 0)
    zeros = np.zeros((1, 4), np.float32)
    for lost in (True, False):
        agent.act(zeros)
        agent.update()
        no, life = np.array([False]), np.array([lost])
        agent.observe(Step(zeros, np.array([1]), np.array([7.0]), zeros, no, no, zeros, life))
    assert agent._played.discounts[:, 0].tolist() == pytest.approx([0, 0.99])
    assert agent._played.rewards[:, 0].tolist() == [1, 1]
    assert not agent._played.truncated.any()


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

    agent._learn = count  # type: ignore[method-assign]
    steps = experience.steps(agent)
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
    with pytest.raises(InputError, match="minibatches is 5; it takes 4 or less here"):
        sessions.train("pqn", "CartPole", envs=2, hyperparameters=wrong, out=tmp_path / "run")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("rollout", "said"),
    [  # two rollouts in each of 64 environments, 28,224 bytes a step
        (5_000, r"rollout would take 18\.1 GB .* 16\.0 GB .* smaller .* rollout"),
        (10**13, "rollout is 10000000000000: Unable to allocate"),
        (10**18, "rollout is 1000000000000000000: "),
    ],
)
def test_rollouts_beyond_this_machines_memory_are_refused(
    rollout: int, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sessions, "_memory", lambda: 16_000_000_000)
    given = {"rollout": rollout}
    with pytest.raises(InputError, match=said):
        sessions.train("pqn", "Breakout", hyperparameters=given, out=tmp_path / "run")
    assert not (tmp_path / "run").exists()


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
    q, moments = copy.deepcopy(agent.q), copy.deepcopy(agent._optimiser.state_dict())
    agent._learn(rows)

    total = torch.zeros(())
    for row in rows:
        t, env = divmod(int(row), 2)
        seen = torch.as_tensor(agent._batch.observations[t, env])[None]
        error = q(seen)[0, agent._batch.actions[t, env]] - float(agent._returns[t, env])
        total = total + 0.5 * error**2 / len(rows)
    torch.autograd.backward(total)
    has_made_a_clipped_step(agent, q, moments)


@pytest.mark.parametrize("has_units", [True, False])
@pytest.mark.parametrize("freeze", ["nothing", "conv"])
def test_passes_in_bfloat16_teach_the_weights_in_float32(
    has_units: bool, freeze: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the processor has no units for it, passes are in float32 too. Frozen layers stay."""
    monkeypatch.setattr("gridcade.agents.deep._has_bfloat16", lambda _: has_units)
    agent = pictured(freeze=freeze)
    before = copy.deepcopy(agent.q)
    play(agent, 0, 19)
    assert agent.updates
    assert (agent._compute_network is agent.q) is not has_units
    lower = {w.dtype for layer in [*agent._compute_network][:-1] for w in layer.parameters()}
    assert lower == {torch.bfloat16 if has_units else torch.float32}
    for layers in zip(agent.q, agent._compute_network, before, strict=True):
        stays = freeze == "conv" and isinstance(layers[0], torch.nn.Conv2d | ChannelNorm)
        for weight, copied, then in zip(*(layer.parameters() for layer in layers), strict=True):
            assert weight.dtype == torch.float32
            assert torch.equal(weight, then) is stays
            assert torch.equal(weight.to(copied.dtype), copied)


def test_an_update_in_bfloat16_is_a_clipped_step_down_the_gradient_of_the_passes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("gridcade.agents.deep._has_bfloat16", lambda _: True)
    agent = pictured(max_grad_norm=0.01)
    play(agent, 0, 12)
    rows = np.array([0, 3, 5, 9])
    q, moments = copy.deepcopy(agent.q), copy.deepcopy(agent._optimiser.state_dict())
    passes = copy.deepcopy(agent._compute_network)
    agent._learn(rows)

    batch = (agent._batch.observations, agent._batch.actions, agent._returns)
    seen, actions, targets = (torch.as_tensor(a.reshape(-1, *a.shape[2:])[rows]) for a in batch)
    values = passes(seen)[np.arange(4), actions]
    (0.5 * (values - targets).square().mean()).backward()
    for weight, low in zip(q.parameters(), passes.parameters(), strict=True):
        assert low.grad is not None
        weight.grad = low.grad.float()
    has_made_a_clipped_step(agent, q, moments)


def test_layers_that_are_taken_are_those_that_it_acts_by(monkeypatch: pytest.MonkeyPatch) -> None:
    """--init-from, and agents that come trained: in bfloat16 the passes are another network."""
    monkeypatch.setattr("gridcade.agents.deep._has_bfloat16", lambda _: True)
    learnt, fresh = pictured(), pictured(seed=1)
    play(learnt, 0, 19)
    seen = learnt._seen(FRAMES[0])
    assert not np.allclose(fresh._values(seen), learnt._values(seen), atol=1e-3)
    assert fresh.take_layers(learnt.state_dict()) == []
    np.testing.assert_array_equal(fresh._values(seen), learnt._values(seen))


@pytest.mark.parametrize("has_units", [True, False])
def test_an_evaluation_tells_of_bfloat16(has_units: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same weights play other games where a processor has no units for it."""
    monkeypatch.setattr("gridcade.agents.deep._has_bfloat16", lambda _: has_units)
    env = "FourRooms?observation=pixels&pixels=36&time_limit=5"
    agent = make(registry.make(env), changed(network="2013", bfloat16=True), 0)
    notes = evaluate_policy(agent, env, episodes=2).notes
    assert any("it acted in bfloat16" in note for note in notes) is has_units


def test_a_share_of_epsilon_acts_at_random(monkeypatch: pytest.MonkeyPatch) -> None:
    """Evenly over all actions, the best included; and the share falls as its schedule says."""
    agent = PQN(Form((2,), np.float32, 0, 4), changed(epsilon=Schedule(0.8, 0.4, 100), rollout=2))
    agent.attach(8000)
    best = np.array([0.0, 3, 1, 2], np.float32)
    monkeypatch.setattr(agent, "_values", lambda seen: np.tile(best, (len(seen), 1)))
    for steps, epsilon in ((0, 0.8), (50, 0.6), (1000, 0.4)):
        agent.steps, agent._t = steps, 0
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
    monkeypatch.setattr("gridcade.agents.deep._has_bfloat16", lambda _: True)
    preset = agents.find(agent).preset_for("Breakout")
    small = {"rollout": 4} if agent == "pqn" else {"learn_start": 64, "replay_capacity": 500}
    run = sessions.train(
        agent, env, preset=preset, steps=600, hyperparameters=small, out=tmp_path / "run"
    )
    assert run.config.hyperparameters["bfloat16"]
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
        ("RussellNorvig4x3", 0.0, 0.2),
        ("chain", 0.65, 0.0),  # with traces, targets are in part those of the exploring policy
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
    ours, inside = agent._values(seen).max(axis=1), best != 0
    np.testing.assert_allclose(ours[inside], best[inside], atol=0.06)


# ---- state


@pytest.mark.parametrize("freeze", ["nothing", "conv"])
def test_learning_in_bfloat16_goes_on_bit_for_bit(
    freeze: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gridcade.agents.deep._has_bfloat16", lambda _: True)
    agent, again = pictured(freeze=freeze), pictured(freeze=freeze, seed=1)
    play(agent, 0, 13)
    again.load_state_dict({k: v.copy() for k, v in agent.state_dict().items()})
    for each in (agent, again):
        play(each, 13, 30)
    assert set(again.state_dict()) == set(agent.state_dict())
    for key, tensor in again.state_dict().items():
        np.testing.assert_array_equal(tensor, agent.state_dict()[key], err_msg=key)


@pytest.mark.parametrize("steps", [10, 100, 128, 130])
def test_state_comes_out_and_goes_back_in(steps: int) -> None:
    """In the first rollout, within one, between two: learning goes on bit for bit."""
    agent, experience = started(SMALL, SHORT, 2, 3)
    go_on(agent, experience, steps)
    state = {k: v.copy() for k, v in agent.state_dict().items()}
    place = experience.state()
    go_on(agent, experience, 260)
    expected = agent.state_dict()

    again, elsewhere = started(SMALL, SHORT, 2, 3)
    again.load_state_dict(state)
    elsewhere.restore(place)
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
    np.testing.assert_array_equal(alone._values(observations), agent._values(observations))


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"epochs": 3}, "'order' has 2 rows, not 3"),
        ({"rollout": 9}, "'returns' has 8 rows, not 9"),
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
    no_moments = {k: v for k, v in agent.state_dict().items() if not k.startswith("optimiser.")}
    with pytest.raises(ValueError, match="it lacks the tensor 'optimiser"):
        agent.load_state_dict(no_moments)


def test_metrics_tell_of_learning() -> None:
    agent, experience = started(SMALL, "CartPole-v1", 2)
    go_on(agent, experience, 10)
    assert set(agent.metrics()) == {"epsilon", "learning_rate", "updates"}
    learnt, losses, means = agent._learn, [], []

    def learn(rows: Any) -> None:
        q = agent._compute_network(torch.as_tensor(agent._batch.observations.reshape(-1, 4)[rows]))
        taken = q.detach().numpy()[np.arange(len(rows)), agent._batch.actions.reshape(-1)[rows]]
        losses.append(0.5 * np.mean((taken - agent._returns.reshape(-1)[rows]) ** 2))
        if not agent._learnt:  # the rollout's first
            means.append(agent._batch.next_values[agent._batch.discounts > 0].mean())
        learnt(rows)

    agent._learn = learn  # type: ignore[method-assign]
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
        agent._learn(np.arange(4))


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
    assert kind.preset_for(env) == preset
    assert sessions.hyperparameters_of(kind, preset, None).clip_rewards is clips


def test_the_papers_preset_has_its_values() -> None:
    """Gallici et al. (2024), the authors' Atari settings."""
    kind = agents.find("pqn")
    config = sessions.hyperparameters_of(kind, "gallici2024", None)
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
        ({"learning_rate": Schedule(0.0)}, "learning_rate.initial is 0.0; it takes more than 0"),
        ({"epsilon": Schedule(1.0, power=0.5)}, "a network has none"),
    ],
)
def test_wrong_hyperparameters_are_told(wrong: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        changed(**wrong)


def test_environments_that_do_not_fit_are_told() -> None:
    with pytest.raises(InputError, match=r"pqn takes arrays.*observation=one_hot"):
        make(registry.make("FourRooms"), SMALL, 0)
