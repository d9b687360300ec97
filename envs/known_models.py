"""Finds the exact model of an environment, if the model surely belongs to its task.

A class that inherits a model and overrides `step` or `reset` may have another task, so its model
is not used unless the class declares it again.
"""

from dataclasses import replace
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium.envs.toy_text.cliffwalking import CliffWalkingEnv
from gymnasium.envs.toy_text.frozen_lake import FrozenLakeEnv
from gymnasium.envs.toy_text.taxi import TaxiEnv

from gridcade.envs.actions import finite_actions
from gridcade.envs.faults import place_of
from gridcade.envs.masks import has_mask_method, ignores_masks
from gridcade.envs.states import finite_states
from gridcade.envs.tabular import Model, TabularEnv
from gridcade.envs.types import Env
from gridcade.envs.wrappers import TRANSPARENT, TransparentWrapper
from gridcade.errors import EnvError, InputError, brief, one_line, single_line

# Wrappers under which the exact model of an environment remains valid.
TRANSPARENT_WRAPPERS = (*TRANSPARENT, TransparentWrapper)
TOY_TEXT = (CliffWalkingEnv, FrozenLakeEnv, TaxiEnv)  # those with a table P
DECLARATION = "transition_model"


def known_model(env: Env) -> Model | None:
    """Find the exact model of an environment: ours, toy_text's table `P`, or a declared one.

    An environment declares a model by a method `transition_model()`, which returns a `Model`, or a
    table like toy_text's, the distribution of the first state and, where some actions are
    forbidden, the allowed ones, [states, actions]. The method must be defined in the class that
    defines `step` and `reset`, or in a subclass of it.

    None if the environment has no model, if a wrapper may change rewards, actions or observations,
    or if a method `action_masks` may forbid actions that the model allows.

    Raises:
        InputError: the model is not valid; for example, probabilities do not sum to 1.
    """
    base = _bare(env)
    model = None if base is None else _model(base)
    if model is None or model.allowed is None:
        return None if has_mask_method(env) and not ignores_masks(env) else model
    return replace(model, allowed=None) if ignores_masks(env) else model


def _model(base: Env) -> Model | None:
    """Find the model of an environment without wrappers."""
    if _declares_model(base):
        return _declared_model(base)
    if isinstance(base, TabularEnv) and _runs_methods_of(TabularEnv, base, "encode"):
        return base.model
    for toy in TOY_TEXT:
        if isinstance(base, toy) and _runs_methods_of(toy, base):
            if isinstance(base, TaxiEnv) and base.fickle_passenger:
                return None  # Taxi's table does not include this option
            allowed = None
            if isinstance(base, TaxiEnv):
                states = range(len(base.initial_state_distrib))
                allowed = np.array([base.action_mask(s) for s in states], dtype=bool)
            table, start = base.P, base.initial_state_distrib
            return _from_table(base, table, start, allowed, what="the table P")
    return None


def declares_model(env: Env) -> bool:
    """Whether an environment declares its model, which should be checked by simulation."""
    base = _bare(env)
    return base is not None and _declares_model(base)


def why_no_model(env: Env) -> str:
    """Explain why an environment's inherited model is not used; empty if it is used or missing."""
    base = _bare(env)
    if not isinstance(base, (TabularEnv, *TOY_TEXT)) or known_model(env) is not None:
        return ""
    owner = next(kind for kind in (TabularEnv, *TOY_TEXT) if isinstance(base, kind))
    changed = [
        name
        for name in ("step", "reset", "encode")
        if name in vars(base) or getattr(type(base), name, None) is not getattr(owner, name, None)
    ]
    if not changed:
        return ""
    return (
        f"{type(base).__name__} replaces {' and '.join(changed)} of {owner.__name__}, so its "
        f"inherited model is not used; define {DECLARATION} to declare one"
    )


def _bare(env: Env) -> Env | None:
    """Remove the wrappers; None if one of them may change rewards, actions or observations."""
    base = env.unwrapped
    while env is not base:
        if not isinstance(env, gym.Wrapper) or not isinstance(env, TRANSPARENT_WRAPPERS):
            return None
        env = env.env
    return base


def _runs_methods_of(owner: type, env: Env, *others: str) -> bool:
    """Whether `step`, `reset` and other methods of an environment are those of a class."""
    names = ("step", "reset", *others)
    kind = type(env)
    return not any(name in vars(env) for name in names) and all(
        getattr(kind, name) is getattr(owner, name) for name in names
    )


def _declares_model(env: Env) -> bool:
    """Whether a class declares a model at or below the classes that define `step` and `reset`."""
    order = type(env).__mro__

    def depth(name: str) -> int:
        return next((i for i, kind in enumerate(order) if name in vars(kind)), len(order))

    if any(name in vars(env) for name in ("step", "reset")):
        return False
    return depth(DECLARATION) <= min(depth("step"), depth("reset"), len(order) - 1)


def _declared_model(env: Any) -> Model:
    """Return the model that an environment declares."""
    try:
        declared = env.transition_model()
    except InputError:
        raise
    except Exception as error:
        place = place_of(error)
        where = f" at {place}" if place else ""
        raise EnvError(
            f"{DECLARATION} of {type(env).__name__} failed{where}: {one_line(error)}"
        ) from error
    if isinstance(declared, Model):
        model = declared
    elif isinstance(declared, tuple | list) and len(declared) in (2, 3):
        table, start, *rest = declared
        model = _from_table(env, table, start, *rest, what=f"the result of {DECLARATION}")
    else:
        raise InputError(
            f"{DECLARATION} of {type(env).__name__} returned {brief(declared)}; it must return a "
            "gridcade.envs.tabular.Model, or a table P and the distribution of the first state, "
            "and where some actions are forbidden, the allowed ones, [states, actions]"
        )
    states, actions = finite_states(env.observation_space), finite_actions(env.action_space)
    for space, numbers, count, what in (
        (env.observation_space, states, model.num_states, "states"),
        (env.action_space, actions, model.num_actions, "actions"),
    ):
        if numbers is None or numbers.count != count:
            raise InputError(
                f"{DECLARATION} of {type(env).__name__} has {count} {what}; "
                f"its space must be Discrete({count}), or have as many elements, but is {space}"
            )
    return model


def _from_table(env: Env, table: Any, start: Any, allowed: Any = None, *, what: str) -> Model:
    """Build a model from a table.

    Raises:
        InputError: the table is not valid.
    """
    try:
        masks = None if allowed is None else np.asarray(allowed).astype(bool)
        return Model.from_table(table, start, masks)
    except (IndexError, OverflowError, TypeError, ValueError) as error:
        name = type(env).__name__
        raise InputError(f"{what} of {name} is not a valid model: {single_line(error)}") from error
