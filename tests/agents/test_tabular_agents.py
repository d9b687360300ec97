"""Properties of all tabular agents: two loops that agree, exact resuming, masks, explanations."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tabular_steps import forbid_some, learn_with_gymnasium, make_world

import gridcade
from gridcade import agents
from gridcade.agents.base import Agent, Compiled, in_memory
from gridcade.agents.schedules import Schedule
from gridcade.agents.tabular import TabularAgent
from gridcade.agents.tabular_config import TabularConfig
from gridcade.envs.tabular import Model
from gridcade.errors import InputError
from gridcade.exact import solver
from gridcade.experience.loop import Experience
from gridcade.experience.step import TOTALS
from gridcade.experience.vector import make_vector
from gridcade.seeding import pack, stream
from gridcade.training.config import read_recipe

TABULAR = [name for name, kind in agents.AGENTS.items() if kind.is_tabular]
ANNEALED: dict[str, Any] = {
    "step_size": Schedule(0.5, 0.02, 300),
    "epsilon": Schedule(1.0, 0.1, 200),
    "initial_value": 0.3,
}
HARMONIC: dict[str, Any] = {
    "step_size": Schedule(1.0, power=0.7),
    "epsilon": Schedule(0.9, power=0.3),
    "discount": 0.95,
}
DIFFERENTIAL: dict[str, Any] = {
    "criterion": "average-reward",
    "step_size": Schedule(0.3, 0.1, 400),
    "epsilon": Schedule(0.4),
}
OWN: list[tuple[str, dict[str, Any]]] = [
    ("q-learning", DIFFERENTIAL),
    ("sarsa", DIFFERENTIAL),
    ("dyna-q", {**ANNEALED, "planning_steps": 3, "exploration_bonus": 0.01}),
    ("q-lambda", {**ANNEALED, "trace_decay": 1.0, "discount": 1.0}),
]
CASES = [*((name, fields) for name in TABULAR for fields in (ANNEALED, HARMONIC)), *OWN]


def make_agent(name: str, model: Model, fields: dict[str, Any], seed: int = 0) -> TabularAgent[Any]:
    kind = agents.find(name)
    agent_class = getattr(agents, kind.config_name.removesuffix("Config"))
    agent = agent_class(model.num_states, model.num_actions, kind.config(**fields), seed)
    assert isinstance(agent, TabularAgent)
    return agent


def copies(tensors: dict[str, Any]) -> dict[str, Any]:
    return {name: tensor.copy() for name, tensor in tensors.items()}


def assert_same(agent: TabularAgent[Any], other: TabularAgent[Any], *without: str) -> None:
    tensors = other.state_dict()
    assert set(agent.state_dict()) == set(tensors)
    for name in set(tensors) - set(without):
        np.testing.assert_array_equal(agent.state_dict()[name], tensors[name], err_msg=name)


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize(("agent", "fields"), CASES)
@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("CliffWalk", {"time_limit": 90}),
        ("SlipperyLake", {"time_limit": 25}),
        ("RiverSwim", {}),
        ("Maze", {"size": 3, "loops": 0.3, "time_limit": 40}),
        ("MaximizationBias", {}),  # its rewards are random, and it forbids actions
    ],
)
def test_compiled_and_gymnasium_loops_agree_bit_for_bit(
    agent: str, fields: dict[str, Any], name: str, arguments: dict[str, Any], masked: bool
) -> None:
    env, model = make_world(name, **arguments)
    if masked:
        env = forbid_some(env)
        model = env.model
    compiled, plain = (make_agent(agent, model, fields, seed=7) for _ in range(2))
    loop = compiled.compiled_loop(model, env.time_limit, seed=5)
    totals: dict[str, float] = dict.fromkeys(TOTALS, 0.0)
    for until in (1, 200, 600):  # the result does not depend on the division into calls
        for key, value in loop.advance(until).items():
            totals[key] += value
    env.np_random = stream(5, "training")
    expected = learn_with_gymnasium(plain, env, 600)
    seen = plain.visits.any(axis=1)
    if masked:
        assert model.allowed is not None
        assert not model.allowed.all()
        assert not plain.visits[~model.allowed].any()
        np.testing.assert_array_equal(plain.state_dict()["allowed"][seen], model.allowed[seen])
    # The compiled loop knows the masks of all states from the beginning.
    assert_same(compiled, plain, "allowed")
    np.testing.assert_array_equal(loop.state_dict()["world_stream"], pack(env.np_random))
    assert totals == pytest.approx(expected, rel=1e-12)
    assert totals["episodes"] > 3 or model.continuing or masked


@pytest.mark.parametrize("name", TABULAR)
def test_tabular_agents_are_compiled_agents(name: str) -> None:
    agent = make_agent(name, make_world("CliffWalk")[1], {})
    assert isinstance(agent, Agent)
    assert isinstance(agent, Compiled)


@pytest.mark.parametrize(("name", "fields"), CASES)
def test_a_restored_agent_and_loop_continue_bit_for_bit(name: str, fields: dict[str, Any]) -> None:
    """Also within an episode, whose actions, traces and rewards are part of the state."""
    env, model = make_world("SlipperyLake")
    first, second = (make_agent(name, model, fields, seed) for seed in (3, 9))
    loops = [agent.compiled_loop(model, env.time_limit, 1) for agent in (first, second)]
    loops[0].advance(333)
    while loops[0].elapsed < 3:
        loops[0].advance(first.steps + 1)
    second.load_state_dict(copies(first.state_dict()))
    loops[1].load_state_dict(copies(loops[0].state_dict()))
    totals = [loop.advance(900) for loop in loops]
    assert totals[0] == totals[1]
    assert_same(second, first)


@pytest.mark.parametrize("name", TABULAR)
def test_restored_environments_side_by_side_continue_bit_for_bit(name: str) -> None:
    """Each environment has an episode of its own."""
    _, model = make_world("SlipperyLake")
    first, second = (make_agent(name, model, ANNEALED, seed) for seed in (3, 9))
    for agent in (first, second):
        agent.allocate(3, 1000, in_memory)
    experience = Experience(make_vector("SlipperyLake", 3), seed=1)
    steps = experience.steps(first)
    for _ in range(100):
        next(steps)
    second.load_state_dict(copies(first.state_dict()))
    again = Experience(make_vector("SlipperyLake", 3), seed=1)
    assert not again.load_env_state(experience.env_state()).any()
    steps_again = again.steps(second)
    for _ in range(100):
        np.testing.assert_array_equal(next(steps).actions, next(steps_again).actions)
    assert_same(second, first)
    alone = make_agent(name, model, ANNEALED)
    alone.load_state_dict(first.state_dict())  # only to predict
    states = np.arange(model.num_states)
    np.testing.assert_array_equal(alone.probabilities(states), first.probabilities(states))


@pytest.mark.parametrize("name", TABULAR)
def test_a_run_that_was_stopped_ends_with_the_same_bits(name: str, tmp_path: Path) -> None:
    """Two environments are stepped through Gymnasium, so that resuming replays actions."""
    options: dict[str, Any] = {"steps": 800, "epoch": 100, "envs": 2}
    env = "SlipperyLake?time_limit=30"
    whole = gridcade.train(name, env, out=tmp_path / "whole", **options)
    stops = iter([False, True])
    out = tmp_path / "stopped"
    stopped = gridcade.train(name, env, out=out, stop=lambda: next(stops), **options)
    assert stopped.last_checkpoint() < 800
    resumed = gridcade.resume(out)
    for key, tensor in whole.load_agent(800).items():
        np.testing.assert_array_equal(resumed.load_agent(800)[key], tensor, err_msg=key)


@pytest.mark.parametrize(("name", "fields"), CASES)
def test_explained_steps_equal_those_of_training(name: str, fields: dict[str, Any]) -> None:
    """Bit for bit, and the right side of each equation evaluates to its left side."""
    env, model = make_world("CliffWalk", time_limit=40)
    one, other = (make_agent(name, model, fields, seed=2) for _ in range(2))
    loop = one.compiled_loop(model, env.time_limit, 0)
    for _ in range(500):
        terms = loop.step()
        result, arrow, formula = terms.equation.partition(" ← ")
        *_, (last, new) = terms.terms
        assert (f"new {result}", arrow) == (last, " ← ")
        values = dict(terms.terms)
        for term in sorted(values, key=len, reverse=True):
            formula = formula.replace(term, f"({values[term]!r})")
        formula = formula.partition(";")[0].replace(" [", " * (")
        formula = formula.translate(str.maketrans("]·−", ")*-"))
        assert eval(formula) == pytest.approx(new, rel=1e-9, abs=1e-12)
    other.compiled_loop(model, env.time_limit, 0).advance(500)
    assert_same(one, other)


@pytest.mark.parametrize("name", TABULAR)
def test_lost_episodes_are_forgotten(name: str) -> None:
    env, model = make_world("CliffWalk")
    agent = make_agent(name, model, ANNEALED)
    agent.compiled_loop(model, env.time_limit, 0).advance(200)
    agent.restart_episodes(np.array([True]), np.array([0]))
    for key, start in agent.new_episode().items():
        np.testing.assert_array_equal(agent.episodes[key][0], start)


@pytest.mark.parametrize(
    ("name", "fields"),
    [
        ("expected-sarsa", {"epsilon": Schedule(0.0)}),
        ("dyna-q", {"planning_steps": 0}),
        ("q-lambda", {"trace_decay": 0.0}),
    ],
)
def test_special_cases_of_agents_equal_q_learning(name: str, fields: dict[str, Any]) -> None:
    env, model = make_world("SlipperyLake")
    fields = ANNEALED | fields
    both = {"epsilon": fields["epsilon"]}
    one = make_agent(name, model, fields)
    other = make_agent("q-learning", model, ANNEALED | both)
    for agent in (one, other):
        agent.compiled_loop(model, env.time_limit, 0).advance(2000)
    np.testing.assert_array_equal(one.q, other.q)
    assert np.abs(one.q - ANNEALED["initial_value"]).max() > 0.1


STOCHASTIC = ["FourRooms", "RussellNorvig4x3"]
PRESET_CASES = [
    (name, world)
    for name in TABULAR
    for world in ["CliffWalk", "DynaMaze", *STOCHASTIC]
    if name != "dyna-q" or world not in STOCHASTIC  # dyna-q's model assumes a deterministic world
]


@pytest.mark.parametrize(("name", "world"), PRESET_CASES)
def test_the_default_preset_learns(name: str, world: str) -> None:
    """They get nearly the best return, except on-policy agents, which keep away from the cliff."""
    env, model = make_world(world)
    kind = agents.find(name)
    recipe = read_recipe(kind, kind.preset_for(env))
    assert isinstance(recipe.hyperparameters, TabularConfig)
    agent = kind.make(env, recipe.hyperparameters, 0)
    assert isinstance(agent, TabularAgent)
    agent.compiled_loop(model, env.time_limit, 0).advance(recipe.settings["steps"])
    table = agent.probabilities(np.arange(model.num_states))
    discount = recipe.hyperparameters.discount
    learned = solver.policy_value(model, table, discount).discounted_return
    optimum = solver.solve(model, "discounted", discount).value
    tolerance = 0.3 if world == "CliffWalk" else 0.03
    assert learned == pytest.approx(optimum, rel=tolerance)


@pytest.mark.parametrize("name", sorted({*TABULAR} - {"q-learning", "sarsa"}))
def test_other_tabular_agents_refuse_the_average_reward(name: str) -> None:
    with pytest.raises(InputError, match="maximizes the discounted return; q-learning and sarsa"):
        gridcade.train(name, "RiverSwim", hyperparameters={"criterion": "average-reward"})
