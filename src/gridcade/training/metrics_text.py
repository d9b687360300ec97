"""An epoch's metrics as one line of text."""

from typing import Any

from gridcade.formatting import format_number


def metrics_text(metrics: dict[str, Any], short: bool = False, width: int = 0) -> str:
    """Format the returns of an epoch in one line: while exploring, and of the greedy policy.

    Args:
        metrics: the epoch's metrics.
        short: leave out the average reward of the greedy policy.
        width: columns of the first part, so that lines below each other are aligned.
    """
    training = metrics.get("training_return_mean"), metrics.get("training_average_reward")
    exploring = "return" if training[0] is not None else "average reward"  # no episode ended
    values = [format_number(value) for value in training if value is not None]
    parts = [f"while exploring: {exploring} {values[0]}".ljust(width)] if values else []
    if greedy := evaluation_text(metrics, first_only=short):
        parts.append(f"greedy: {greedy}")
    return "  ".join(parts)


def evaluation_text(metrics: dict[str, Any], first_only: bool = False) -> str:
    """Format the values of an epoch's evaluation: return and average reward, or only the first."""
    keys = {"return": "return_mean", "average reward": "average_reward_mean"}
    values = {name: metrics.get(key) for name, key in keys.items()}
    parts = [
        f"{name} {format_number(value)}" for name, value in values.items() if value is not None
    ]
    return "  ".join(parts[:1] if first_only else parts)
