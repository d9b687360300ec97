"""Action masks: a forbidden action is never taken and never bootstrapped from."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from forbidding import NEVER, PLACES, Forbidding, ForbiddingParts, ForbiddingWorld, allowed_at

import gridcade
from gridcade import agents
from gridcade.agents.base import Agent, in_memory
from gridcade.agents.deep import DeepAgent
from gridcade.agents.q_learning import QLearning
from gridcade.envs import registry
from gridcade.errors import InputError
from gridcade.evaluation.evaluated_policy import EvaluatedPolicy
from gridcade.evaluation.policies import UniformPolicy, optimal_policy, random_policy
from gridcade.exact import solver
from gridcade.experience.loop import Experience
from gridcade.experience.vector import SyncEnvs
from gridcade.live.arcade.chooser import Chooser
from gridcade.live.arcade.consoles import GymConsole
from gridcade.live.arcade.game import Game
from gridcade.recording.frames import make_rgb_env, play_frames
from gridcade.training import sessions

HUGE = 1e6  # value of the action that is always forbidden
HERE = Path(__file__).with_name("forbidding.py")
SMALL: dict[str, dict[str, Any]] = {
    "dqn": {"replay_capacity": 400, "learn_start": 40, "update_every": 2, "target_every": 20},
    "pqn": {"rollout": 4, "minibatches": 2, "epochs": 2},
}
SMALL["dqn"] |= {"batch_size": 16, "held_out": 8}
CASES = [
    ("q-learning", {}),
    ("q-learning", {"criterion": "average-reward"}),
    ("dqn", {}),
    ("dqn", {"n_step": 3, "overlap": False}),
    ("dqn", {"target_every": 0}),
    ("pqn", {}),
    ("pqn", {"overlap": False, "trace_decay": 0.0}),
]


def make_agent(name: str, env: Any, **fields: Any) -> Agent:
    """A small agent whose forbidden actions are worth most, and which explores a lot."""
    kind = agents.find(name)
    fields |= SMALL.get(name, {}) | ({} if name == "q-learning" else {"hidden": (16,)})
    fields["epsilon"] = agents.Schedule(0.5)
    agent = kind.make(env, kind.config(**fields), seed=0)
    assert isinstance(agent, Agent)
    agent.allocate(3, 1000, in_memory)
    if isinstance(agent, QLearning):
        agent.q[:, NEVER] = HUGE
    if isinstance(agent, DeepAgent):
        output = list(agent.q)[-1]
        assert isinstance(output, torch.nn.Linear)
        with torch.no_grad():
            output.bias[NEVER] = HUGE
        agent.take_layers(agent.state_dict())
    return agent


def values_of(agent: Agent, observations: Any) -> Any:
    assert isinstance(agent, QLearning | DeepAgent)
    return agent.action_values(observations)


@pytest.mark.parametrize(("name", "fields"), CASES)
@pytest.mark.parametrize("start", [0, 5])
def test_forbidden_actions_are_neither_taken_nor_bootstrapped_from(
    name: str, fields: dict[str, Any], start: int
) -> None:
    observation = "state" if name == "q-learning" else "vector"
    envs = [Forbidding(observation, start, method=start > 0) for _ in range(3)]
    agent = make_agent(name, envs[0], **fields)
    steps = Experience(SyncEnvs(envs), seed=1).steps(agent, agent.overlap_updates)
    for _ in range(250):
        step = next(steps)  # raises an error if a forbidden action is taken
        assert step.next_masks is not None
        assert step.next_masks.any(axis=1).all()
    agent.finish()
    taken = np.bincount(np.concatenate([env.taken for env in envs]), minlength=4)
    assert (taken[:NEVER] > 50).all()
    assert taken[NEVER] == 0
    observations = (
        np.arange(PLACES - 1)
        if observation == "state"
        else np.array([[place, 3] for place in range(PLACES - 1)], np.float32)
    )
    values = values_of(agent, observations)
    assert values[:, NEVER].min() > HUGE / 10
    assert np.abs(values[:, :NEVER]).max() < 100
    if isinstance(agent, DeepAgent):
        assert agent.updates > 20
        metrics = agent.metrics()
        assert metrics["loss"] < 100
        assert metrics.get("mean_max_q", metrics.get("held_out_max_q", HUGE)) < 100
    if isinstance(agent, QLearning):
        assert agent.values[: PLACES - 1].max() < 100


@pytest.mark.parametrize("name", ["dqn", "pqn"])
def test_masks_of_actions_with_several_parts(name: str) -> None:
    envs = [ForbiddingParts() for _ in range(3)]
    agent = make_agent(name, envs[0])
    steps = Experience(SyncEnvs(envs), seed=1).steps(agent, agent.overlap_updates)
    seen = np.concatenate([next(steps).actions for _ in range(100)])
    assert len(np.unique(seen, axis=0)) == 4  # of 6


@pytest.mark.parametrize("name", ["q-learning", "dqn", "pqn"])
def test_predictions_and_probabilities_keep_to_the_masks(name: str) -> None:
    observation = "state" if name == "q-learning" else "vector"
    agent = make_agent(name, Forbidding(observation))
    places = np.arange(PLACES - 1)
    batch: Any = places if observation == "state" else np.zeros((len(places), 2), np.float32)
    masks = np.array([allowed_at(int(place)) for place in places])
    for deterministic in (True, False):
        table = agent.probabilities(batch, deterministic, masks)
        np.testing.assert_allclose(table.sum(axis=1), 1)
        assert not table[~masks].any()
        if not deterministic:
            assert (table[masks] >= 0.5 / 3 - 1e-9).all()
        for _ in range(20):
            actions, _ = agent.predict(batch, deterministic=deterministic, action_masks=masks)
            assert masks[places, actions].all()
            one, _ = agent.predict(batch[1], deterministic=deterministic, action_masks=masks[1])
            assert masks[1, one]
    assert (agent.predict(batch, deterministic=True)[0] == NEVER).all()


@pytest.mark.parametrize(("name", "fields"), [CASES[0], CASES[2], CASES[3], CASES[5], CASES[6]])
def test_a_resumed_run_ends_with_the_same_bits(
    tmp_path: Path, name: str, fields: dict[str, Any]
) -> None:
    env = f"{HERE}:Forbidding" + ("?observation=state" if name == "q-learning" else "")
    options: Any = {"steps": 600, "epoch": 90, "envs": 3, "evaluation_episodes": 2}
    given = fields | SMALL.get(name, {}) | ({} if name == "q-learning" else {"hidden": (8,)})
    whole = sessions.train(name, env, hyperparameters=given, out=tmp_path / "whole", **options)
    calls = iter(range(1000))
    part = sessions.train(
        name,
        env,
        hyperparameters=given,
        out=tmp_path / "part",
        stop=lambda: next(calls) >= 3,
        **options,
    )
    assert not part.finished
    resumed = sessions.resume(part.path)
    assert resumed.finished
    one, other = (run.load_agent(run.last_checkpoint()) for run in (whole, resumed))
    assert set(one) == set(other)
    for key, tensor in one.items():
        np.testing.assert_array_equal(other[key], tensor, err_msg=key)
    if name == "dqn":
        masks = [np.fromfile(r.path / "replay/masks.bin", bool) for r in (whole, resumed)]
        np.testing.assert_array_equal(masks[0], masks[1])
        assert masks[0].any()


def test_policies_are_evaluated_within_the_masks() -> None:
    env = ForbiddingWorld()
    policies = [random_policy(env), optimal_policy(env), make_agent("q-learning", env)]
    for policy in policies:
        for epsilon, stochastic in ((0.0, False), (0.3, False), (0.3, True)):
            result = gridcade.evaluate(
                policy, ForbiddingWorld, episodes=400, epsilon=epsilon, stochastic=stochastic
            )
            assert result.exact is not None
            assert result.expected_return is not None
            mean, exact = result.expected_return.mean, result.exact.expected_return
            assert exact is not None
            assert abs(mean - exact) < 2.5 * result.expected_return.half_width
            assert result.exact.optimal_return is not None
            assert result.exact.optimal_return < 1
            assert not any("mask" in note for note in result.notes)


class Predicting:
    """A policy without probabilities, which takes masks as sb3-contrib's models do."""

    def predict(
        self,
        observation: Any,
        state: Any = None,
        episode_start: Any = None,
        deterministic: bool = False,
        action_masks: Any = None,
    ) -> tuple[Any, Any]:
        del observation, episode_start, deterministic
        return np.argmax(action_masks, axis=1), state


class Unmasked:
    """A policy without a parameter for masks; it takes an action that is allowed everywhere."""

    def predict(
        self,
        observation: Any,
        state: Any = None,
        episode_start: Any = None,
        deterministic: bool = False,
    ) -> tuple[Any, Any]:
        del episode_start, deterministic
        return np.ones(len(observation), dtype=int), state


@pytest.mark.parametrize("epsilon", [0.0, 0.4])
def test_policies_that_only_predict_get_masks_if_they_take_them(epsilon: float) -> None:
    for policy in (Predicting(), Unmasked()):
        result = gridcade.evaluate(policy, ForbiddingWorld, episodes=300, epsilon=epsilon)
        assert result.exact is not None
        assert result.expected_return is not None
        assert result.exact.expected_return is not None
        error = abs(result.expected_return.mean - result.exact.expected_return)
        assert error < 2.5 * result.expected_return.half_width
        noted = any("does not use action masks" in note for note in result.notes)
        assert noted == isinstance(policy, Unmasked)


def test_the_exact_value_of_masked_random_play_in_taxi_is_in_its_interval() -> None:
    result = gridcade.evaluate("random", "Taxi", episodes=60, seed=3)
    assert result.exact is not None
    assert result.expected_return is not None
    exact = result.exact.expected_return
    assert exact is not None
    assert result.expected_return.covers(exact)
    unmasked = registry.known_model(registry.make("Taxi?mask=off"))
    assert unmasked is not None
    value = solver.policy_value(unmasked, unmasked.uniform, time_limit=200).expected_return
    assert value is not None
    assert value < exact - 500  # illegal passengers cost 10


def test_mask_off_ignores_masks() -> None:
    with pytest.raises(InputError, match="is forbidden in place"):
        gridcade.evaluate("random", f"{HERE}:Forbidding?mask=off", episodes=20)
    assert gridcade.evaluate("random", f"{HERE}:Forbidding", episodes=20).episodes == 20


@pytest.mark.parametrize("name", ["random", "dqn"])
def test_policies_are_watched_within_the_masks(name: str) -> None:
    env = make_rgb_env(f"{HERE}:Forbidding")
    policy = random_policy(env) if name == "random" else make_agent(name, env)
    actor = EvaluatedPolicy(policy, env, epsilon=0.3, deterministic=name == "dqn")
    frames = list(play_frames(actor, env, 5, seed=0))  # an error if an action is forbidden
    assert frames[-1].episode == 5
    for seed in range(5):
        game = Game(GymConsole(env), Chooser(actor, env), seed)
        while not game.moment.end:
            game.advance()
        game.seek(1)


def test_a_check_takes_only_allowed_actions(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gridcade.checking.trials.STEPS", 200)
    for source in (f"{HERE}:Forbidding", lambda: Forbidding(method=True)):
        result = gridcade.check(source)
        assert result.facts["action masks"] != "none"
        assert [f.text for f in result.findings if f.severity == "problem"] == []


def test_uniform_policy_predicts_within_masks() -> None:
    policy = UniformPolicy(4)
    masks = np.array([allowed_at(place) for place in range(PLACES - 1)])
    for _ in range(30):
        actions, _ = policy.predict(np.arange(PLACES - 1), action_masks=masks)
        assert masks[np.arange(PLACES - 1), actions].all()
    assert policy.predict(0, action_masks=[False, False, True, False])[0] == 2


@pytest.mark.parametrize(
    ("env", "observation", "mask"),
    [(f"{HERE}:Forbidding", 8, 4), (f"{HERE}:Forbidding?method=true", 8, 4), ("CartPole", 16, 0)],
)
def test_the_memory_of_masks_is_counted_before_training(
    env: str, observation: int, mask: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A slot of the replay also has 7 bytes for an action, a reward and flags."""
    slots = 100_000
    size = slots * (observation + 7 + mask)
    notes: list[str] = []
    options: Any = {"steps": 2, "out": tmp_path / "run", "note": notes.append}
    monkeypatch.setattr(sessions, "machine_memory", lambda: sessions.MEMORY_BESIDE + size - 1)
    fields = {"replay_capacity": slots, "learn_start": 50}
    sessions.train("dqn", env, hyperparameters=fields, **options)
    (note,) = (sentence for sentence in notes if "wait for the disk" in sentence)
    assert note.startswith("the replay takes 0.0 GB")
    assert ("0.0 GB of it for action masks," in note) == bool(mask)
    files = [file.stat().st_size for file in (tmp_path / "run" / "replay").iterdir()]
    assert size < sum(files) < 1.5 * size
    notes.clear()
    monkeypatch.setattr(sessions, "machine_memory", lambda: sessions.MEMORY_BESIDE + size)
    options["out"] = tmp_path / "other"
    sessions.train("dqn", env, hyperparameters=fields, **options)
    assert not any("wait for the disk" in sentence for sentence in notes)
