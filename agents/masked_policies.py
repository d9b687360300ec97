"""Predictions under action masks: a policy receives the masks if it uses them."""

from inspect import signature
from typing import Any

import numpy as np

from gridcade.agents.base import (
    BaseAgent,
    Floats,
    Masks,
    Observations,
    Policy,
    PolicyState,
    StochasticPolicy,
)
from gridcade.agents.predictions import check_prediction
from gridcade.envs.actions import ActionIndex
from gridcade.envs.masks import masks_of_parts
from gridcade.envs.types import Array, Space


def uses_masks(policy: Policy) -> bool:
    """Whether a policy accepts action masks."""
    if isinstance(policy, BaseAgent) and not policy.uses_masks:
        return False
    if isinstance(policy, StochasticPolicy):
        return "masks" in signature(policy.probabilities).parameters
    return "action_masks" in signature(policy.predict).parameters


def probabilities_of(
    policy: StochasticPolicy,
    observations: Observations,
    deterministic: bool,
    masks: Masks | None,
) -> Floats:
    """Return a policy's action probabilities, [n, actions]; it receives masks if it uses them."""
    if masks is None or not uses_masks(policy):
        return policy.probabilities(observations, deterministic)
    probabilities: Any = policy.probabilities  # the protocol does not require the parameter
    return np.asarray(probabilities(observations, deterministic, masks=masks))


def predict_allowed(
    policy: Policy,
    observations: Observations,
    state: PolicyState,
    starts: Array,
    deterministic: bool,
    masks: Masks | None,
    index: ActionIndex | None,
    space: Space,
) -> tuple[Any, PolicyState]:
    """Return a policy's prediction; it receives masks if it uses them, as in sb3-contrib.

    Raises:
        InputError: the actions do not fit the action space.
    """
    if masks is None or index is None or not uses_masks(policy):
        predicted = policy.predict(observations, state, starts, deterministic)
        return check_prediction(policy, predicted, len(starts), space)
    predict: Any = policy.predict  # the protocol does not require the parameter
    if len(index.parts) > 1:
        masks = masks_of_parts(masks, index)
    predicted = predict(observations, state, starts, deterministic, action_masks=masks)
    return check_prediction(policy, predicted, len(starts), space)
