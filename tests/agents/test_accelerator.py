"""The accelerator backend, with the CPU as its device, computes what the other backends compute."""

import copy
import pickle
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from test_fast import CASES, dqn, dqn_losses, pqn, pqn_losses, random_frames

from gridcade.agents import accelerator
from gridcade.agents import dqn as dqn_module
from gridcade.agents import pqn as pqn_module
from gridcade.agents.accelerator import AcceleratorBackend, Frames, blocks
from gridcade.agents.base import in_memory
from gridcade.agents.deep import DeepAgent
from gridcade.agents.dqn import DQN, DQNConfig
from gridcade.agents.fast import to_blocks
from gridcade.agents.pqn import PQN, PQNConfig
from gridcade.agents.replay import Replay
from gridcade.agents.schedules import Schedule
from gridcade.envs import registry
from gridcade.errors import InputError
from gridcade.experience.loop import Experience
from gridcade.experience.step import Step
from gridcade.experience.vector import make_vector

PIXELS = "FourRooms?observation=pixels&pixels=36"
FALSE = np.zeros(10, bool)


@pytest.fixture
def accelerated(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    """Make an agent as if its device were an accelerator with much memory."""

    def make_accelerated(make: Callable[..., Any], *arguments: Any, **fields: Any) -> Any:
        with monkeypatch.context() as patch:
            patch.setattr("gridcade.agents.deep.is_accelerator", lambda _: True)
            agent = make(*arguments, **fields)
        assert isinstance(agent.backend, AcceleratorBackend)
        return agent

    monkeypatch.setattr(accelerator, "has_room", lambda *_: True)
    return make_accelerated


# ---- equal results


@pytest.mark.parametrize(("make", "losses"), CASES)
def test_losses_and_values_equal_those_of_the_cpu_backend(
    make: Callable[..., DeepAgent],
    losses: Callable[[DeepAgent], list[float]],
    accelerated: Callable[..., Any],
) -> None:
    ours, reference = accelerated(make), make(fast=False)
    both = losses(ours), losses(reference)
    assert len(both[0]) == len(both[1]) == 20
    np.testing.assert_allclose(both[0], both[1], rtol=1e-4)
    frames = random_frames(8, 4, 84, 84)
    values = [agent.action_values(frames) for agent in (ours, reference)]
    np.testing.assert_allclose(values[0], values[1], atol=1e-5)


SLOW_DQN = pytest.param(dqn, dqn_losses, marks=pytest.mark.slow)  # bfloat16 is slow on a CPU


@pytest.mark.parametrize(("make", "losses"), [(pqn, pqn_losses), SLOW_DQN])
def test_losses_under_autocast_equal_those_of_float32_up_to_rounding(
    make: Callable[..., DeepAgent],
    losses: Callable[[DeepAgent], list[float]],
    accelerated: Callable[..., Any],
) -> None:
    low = accelerated(make, bfloat16=True)
    assert low.precision == "bfloat16"
    assert low.warnings() == []
    np.testing.assert_allclose(losses(low), losses(make()), rtol=0.01)
    assert all(weight.dtype == torch.float32 for weight in low.q.parameters())


DQN_CONFIG = DQNConfig(
    replay_capacity=300,
    learn_start=40,
    update_every=4,
    held_out=4,
    target_every=16,
    n_step=2,
    average_over=9,
)
PQN_CONFIG = PQNConfig(rollout=8, minibatches=2, epsilon=Schedule(0.5), average_over=9)
AGENTS: list[tuple[Any, Any]] = [(dqn_module.make, DQN_CONFIG), (pqn_module.make, PQN_CONFIG)]


def play(agent: Any, env: str, steps: int) -> list[Step]:
    agent.allocate(2, 100, in_memory)
    transitions = Experience(make_vector(env, 2), 3).steps(agent, agent.overlap_updates)
    return [next(transitions) for _ in range(steps)]


@pytest.mark.parametrize(("make", "config"), AGENTS)
@pytest.mark.parametrize("env", ["CartPole", PIXELS])
def test_a_run_takes_the_same_actions(
    make: Any, config: Any, env: str, accelerated: Callable[..., Any]
) -> None:
    """The run has many updates and ends of episodes, and its replay wraps around."""
    ours, reference = (
        accelerated(make, registry.make(env), config, 0),
        make(registry.make(env), config, 0),
    )
    recorded = [play(agent, env, 250) for agent in (ours, reference)]
    assert ours.updates == reference.updates > 50
    for mine, other in zip(*recorded, strict=True):
        np.testing.assert_array_equal(mine.actions, other.actions)
    metrics = [agent.metrics() for agent in (ours, reference)]
    assert metrics[0] == pytest.approx(metrics[1], rel=1e-3)


@pytest.mark.parametrize(("height", "width"), [(36, 52), (38, 53)])
def test_blocks_equal_those_of_the_cpu_backend(height: int, width: int) -> None:
    frames = random_frames(3, 4, height, width)
    np.testing.assert_array_equal(blocks(torch.from_numpy(frames)).numpy(), to_blocks(frames))


@pytest.mark.parametrize(
    ("stack", "shape", "encode"),
    [(4, (8, 12), np.asarray), (4, (8, 12), to_blocks), (0, (3,), np.asarray)],
)
def test_a_replay_on_a_device_samples_the_same_stacks(
    stack: int, shape: tuple[int, ...], encode: Any
) -> None:
    """Bit for bit, after ends of episodes, after the ring buffer has wrapped, and after a load."""
    rng = np.random.default_rng(0)
    plain = Replay(3, 120, 60, shape, np.uint8, stack, in_memory, encode)
    files = {"frames": plain.frames, "flags": plain.flags}
    files |= {"actions": plain.actions, "rewards": plain.rewards}

    def storage(name: str, shape: Any, dtype: Any) -> Any:
        del shape, dtype
        return files[name]

    mirrored = Replay(3, 120, 60, shape, np.uint8, stack, storage, encode)
    mirrored.mirror = Frames(mirrored.frames, torch.from_numpy)
    both = Replay(3, 120, 60, shape, np.uint8, stack, in_memory, encode)
    both.mirror = Frames(both.frames, torch.from_numpy)
    size = (3, stack, *shape) if stack else (3, *shape)
    before = rng.integers(0, 256, size, dtype=np.uint8)
    for _ in range(150):
        ended = rng.random(3) < 0.1
        after = rng.integers(0, 256, size, dtype=np.uint8)
        current = np.where(ended.reshape(-1, *[1] * (len(size) - 1)), 255 - after, after)
        step = Step(before, rng.integers(4, size=3), np.ones(3), after, ended, FALSE[:3], current)
        for replay in (plain, both):
            replay.add(step, step.rewards, step.terminated)
        before = current
    mirrored.load_state_dict(plain.state_dict())
    expected = plain.sample(64, np.random.default_rng(1), 3)
    for replay in (both, mirrored):
        sample = replay.sample(64, np.random.default_rng(1), 3)
        assert isinstance(sample.observations, torch.Tensor)
        np.testing.assert_array_equal(sample.observations, expected.observations)
        np.testing.assert_array_equal(sample.next_observations, expected.next_observations)


# ---- transfers between the device and the CPU


def test_pqn_copies_observations_once_a_step(accelerated: Callable[..., Any]) -> None:
    """Acting and the rollout share one copy, and a minibatch copies only a few numbers."""
    agent = accelerated(pqn)
    copied: list[int] = []
    tensor = agent.backend.tensor

    def counted(array: Any) -> torch.Tensor:
        if not isinstance(array, torch.Tensor):
            copied.append(array.nbytes)
        return tensor(array)  # type: ignore[no-any-return]

    agent.backend.tensor = counted
    pqn_losses(agent)
    observations = 10 * 4 * 84 * 84  # bytes of a step
    assert [size for size in copied if size > 1_000] == [observations] * 8


def test_updates_read_nothing_from_the_device() -> None:
    """On PyTorch's device `meta`, tensors have no values, so that reading one is an error.

    Mixing devices is an error too. The test fills the rollouts and the replay without acting,
    because acting reads values.
    """
    for make, capacity in ((pqn, 0), (dqn, 1000)):
        ours = make()
        backend = AcceleratorBackend(copy.deepcopy(ours.q), torch.device("meta"))
        ours.backend, ours.q, ours.device = backend, backend.q, backend.device
        if isinstance(ours, PQN):
            ours.allocate(10, 0, in_memory)
            ours.learned, ours.order = 0, np.arange(40)[None].repeat(2, axis=0)
            ours._learn_until(20)
        else:
            ours.q_target, ours.optimizer = copy.deepcopy(ours.q), backend.adam(0.001)
            ours.allocate(1, capacity, in_memory)
            ours.D.mirror = Frames(ours.D.frames, backend.tensor)
            for frame in random_frames(20, 1, 4, 84, 84):
                ours.observe(
                    Step(frame, FALSE[:1], np.zeros(1), frame, FALSE[:1], FALSE[:1], frame)
                )
            ours.config = DQNConfig(learn_start=1, update_every=1, target_every=8)
            ours.update()
        assert ours.updates == 20
        with pytest.raises((RuntimeError, NotImplementedError)):
            ours.metrics()


@pytest.mark.parametrize(("make", "losses"), CASES)
def test_divergence_is_reported_with_its_update_no_later_than_at_a_checkpoint(
    make: Callable[..., DeepAgent],
    losses: Callable[[DeepAgent], list[float]],
    accelerated: Callable[..., Any],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    agent = accelerated(make)
    losses(agent)

    def update() -> None:
        if isinstance(agent, DQN):
            batch = agent.sample()
            (values,) = agent.backend.target_values(agent.q_target, [batch])
            agent.learn(batch, values)
        else:
            PQN.learn(agent, np.arange(4))  # `losses` replaced the agent's own method

    update()
    with torch.no_grad():
        next(iter(agent.q.parameters())).fill_(torch.nan)
    update()
    update()
    for report in (copy.deepcopy(agent).state_dict, copy.deepcopy(agent).metrics):
        with pytest.raises(InputError, match="the loss is nan at update 21: learning diverged"):
            report()
    monkeypatch.setattr(accelerator, "UNREAD", 4)
    with pytest.raises(InputError, match="the loss is nan at update 21"):
        update()


def test_an_infinite_observation_is_named_as_a_cause(accelerated: Callable[..., Any]) -> None:
    agent = accelerated(pqn_module.make, registry.make("CartPole"), PQN_CONFIG, 0)
    recorded = play(agent, "CartPole", 12)
    recorded[-1].observations[:] = np.inf
    for step in [recorded[-1]] * 16:
        agent.act(step.observations)
        agent.update()
        agent.observe(step)
    with pytest.raises(InputError, match="learning diverged, or an observation is infinite"):
        agent.metrics()


# ---- resuming


@pytest.mark.parametrize(("make", "config"), AGENTS)
def test_a_resumed_agent_continues_bit_for_bit(
    make: Any, config: Any, accelerated: Callable[..., Any]
) -> None:
    """So does a copy. An agent on the other device continues with equal tensors up to rounding."""
    agent = accelerated(make, registry.make(PIXELS), config, 0)
    recorded = play(agent, PIXELS, 90)
    tensors = copy.deepcopy(agent.state_dict())
    others = [accelerated(make, registry.make(PIXELS), config, 1)]
    others.append(make(registry.make(PIXELS), config, 1))
    for other in others:
        other.allocate(2, 100, replay_of(agent))
        other.load_state_dict(tensors)
    others += [copy.deepcopy(agent), pickle.loads(pickle.dumps(agent))]
    resumed, moved, *copies = others
    for learner in (agent, *others):
        for step in recorded[-33:]:
            learner.act(step.observations)
            learner.update()
            learner.observe(step)
    expected = agent.state_dict()
    for other in (resumed, *copies):
        for key, tensor in other.state_dict().items():
            np.testing.assert_array_equal(tensor, expected[key], err_msg=key)
    for key, tensor in moved.state_dict().items():
        if tensor.dtype == np.uint8 or tensor.dtype == np.int64:
            np.testing.assert_array_equal(tensor, expected[key], err_msg=key)
        else:
            np.testing.assert_allclose(tensor, expected[key], rtol=0.01, atol=1e-3, err_msg=key)
    assert moved.metrics() == pytest.approx(agent.metrics(), rel=1e-3)


def replay_of(agent: Any) -> Any:
    """Return a storage that copies the arrays of an agent's replay."""

    def storage(name: str, shape: tuple[int, ...], _: Any) -> Any:
        found = agent.held_out if name == "held_out" else getattr(agent.D, name)
        assert found.shape == shape
        return found.copy()

    return storage if isinstance(agent, DQN) else in_memory
