"""The cache of compiled functions."""

import importlib
import sys
from pathlib import Path

import pytest

from gridcade.agents.q_learning import QLearning, QLearningConfig
from gridcade.envs import registry
from gridcade.errors import InputError

CALLED = """
from gridcade.agents.compiled import compiled

@compiled
def called() -> int:
    return {value}
"""
BETWEEN = """
from called_module import called
from gridcade.agents.compiled import compiled

@compiled
def between() -> int:
    return called()
"""
CALLER = """
from between_module import between
from gridcade.agents.compiled import compiled

@compiled
def caller() -> int:
    return between()
"""
LEARNERS = """
from gridcade.agents.compiled import compiled_in_place
from gridcade.agents.tabular_updates import algorithm, one_step_update

@compiled_in_place
def pessimist(learner, transition, t, _):
    one_step_update(learner, transition, t, -100.0)

@compiled_in_place
def optimist(learner, transition, t, _):
    one_step_update(learner, transition, t, 100.0)

ALGORITHMS = algorithm(pessimist), algorithm(optimist)
"""


def test_a_change_in_a_called_file_recompiles_its_callers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    modules = ("called_module", "between_module", "caller_module")
    (tmp_path / "between_module.py").write_text(BETWEEN)
    (tmp_path / "caller_module.py").write_text(CALLER)
    for value in (1, 22):  # files of different sizes, which Python does not mistake for each other
        (tmp_path / "called_module.py").write_text(CALLED.format(value=value))
        importlib.invalidate_caches()
        assert importlib.import_module("caller_module").caller() == value
        for name in modules:
            del sys.modules[name]


def test_two_learners_of_one_file_do_not_share_machine_code(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "learners_module.py").write_text(LEARNERS)
    env = registry.make("CliffWalk")
    model = registry.known_model(env)
    assert model is not None
    extremes = []
    for learner in importlib.import_module("learners_module").ALGORITHMS:
        agent = QLearning(model.num_states, model.num_actions, QLearningConfig())
        monkeypatch.setattr(QLearning, "algorithm", learner)
        agent.compiled_loop(model, 100, 0).advance(100)
        extremes.append((agent.q.min() < -10, agent.q.max() > 10))
    assert extremes == [(True, False), (False, True)]


CLOSURE = """
from gridcade.agents.compiled import compiled_in_place
from gridcade.agents.tabular_updates import algorithm

def learner(reward):
    @compiled_in_place
    def learn(learner, transition, t, _):
        learner.q[transition.s, transition.a] = reward
    return algorithm(learn)

learner(1.0)
"""


def test_a_learner_that_is_a_closure_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A second closure of the same name would run with the variables of the first one."""
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "closure_module.py").write_text(CLOSURE)
    with pytest.raises(InputError, match="learn uses variables of the function around it"):
        importlib.import_module("closure_module")
