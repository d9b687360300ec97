"""The learning curves of a run as HTML, for notebooks."""

import math
from collections.abc import Sequence

from markupsafe import Markup

from gridcade.notebook import Curve, chart
from gridcade.training.metrics import Metrics

GREEDY, TRAINING = "#2f7fd6", "#d9762b"  # both are readable on white and on black


def curves_html(metrics: Sequence[Metrics]) -> Markup:
    """Draw the returns of a run against its steps, or the average reward in a task without ends.

    One curve shows the evaluations of the greedy policy, with intervals, and one the training
    episodes. Returns an empty string if there are no metrics.
    """
    name, title = "return", "return"
    if not any(m.get("return_mean") is not None for m in metrics):
        name, title = "average_reward", "average reward"
    training = "training_return_mean" if name == "return" else "training_average_reward"
    curves = [
        Curve("training, with exploration", TRAINING, *_values(metrics, training)),
        Curve(
            "greedy policy",
            GREEDY,
            *_values(metrics, f"{name}_mean"),
            low=_values(metrics, f"{name}_low")[1],
            high=_values(metrics, f"{name}_high")[1],
        ),
    ]
    curves = [curve for curve in curves if any(math.isfinite(y) for y in curve.y)]
    return chart(curves, "steps", title) if curves else Markup()


def _values(metrics: Sequence[Metrics], key: str) -> tuple[list[float], list[float]]:
    """Return the steps of all epochs, and the values of a metric; nan where it is missing."""
    values = [m.get(key) for m in metrics]
    return [m["steps"] for m in metrics], [math.nan if v is None else v for v in values]
