"""An epoch's metrics as one line of text."""

from typing import Any

from gridcade.formatting import format_number


def metrics_text(metrics: dict[str, Any]) -> str:
    """An epoch's metrics in one line: of training, and of the evaluation if one took place."""
    training_return, evaluation = metrics.get("training_return_mean"), evaluation_text(metrics)
    if training_return is None:
        return evaluation
    parts = [f"training return {format_number(training_return)}"]
    return "  ".join(parts + ([f"evaluated: {evaluation}"] if evaluation else []))


def evaluation_text(metrics: dict[str, Any], first_only: bool = False) -> str:
    """The values of an epoch's evaluation: return and average reward, or only the first."""
    keys = {"return": "return_mean", "average reward": "average_reward_mean"}
    values = {name: metrics.get(key) for name, key in keys.items()}
    parts = [
        f"{name} {format_number(value)}" for name, value in values.items() if value is not None
    ]
    return "  ".join(parts[:1] if first_only else parts)
