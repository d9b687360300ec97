"""The worlds and learners that the live page offers."""

from typing import Any, Literal, get_args, get_origin, get_type_hints

from gridcade.field_docs import field_docs
from gridcade.live.messages import encode
from gridcade.live.world.learners import LEARNERS, describe
from gridcade.live.world.place import world_names
from gridcade.live.world.puzzles import puzzles
from gridcade.training.config import to_dict


def catalog_message() -> bytes:
    """Return a message with the worlds, puzzles and learners that the page offers."""
    learners = []
    for name in LEARNERS:
        kind = describe(name)
        docs, defaults = field_docs(kind.config), to_dict(kind.config())
        hints = get_type_hints(kind.config)
        parameters = [
            {
                "name": key,
                "default": value_text(value),
                "help": docs.get(key, ""),
                "choices": get_args(hints[key]) if get_origin(hints[key]) is Literal else None,
            }
            for key, value in defaults.items()
        ]
        learners.append(
            {
                "name": name,
                "about": kind.about,
                "parameters": parameters,
                "unit": kind.unit,
                "walks": kind.walks,
                "is_random": kind.is_random,
            }
        )
    worlds = [{"name": name, "about": about} for name, about in world_names().items()]
    questions = [
        {
            "name": puzzle.name,
            "title": puzzle.world.title,
            "about": puzzle.world.about,
            "criterion": puzzle.criterion,
            "discount": puzzle.discount,
        }
        for puzzle in puzzles().values()
    ]
    return encode("catalog", worlds=worlds, puzzles=questions, agents=learners)


def value_text(value: Any) -> str:
    """Write a default value as the text of a field; of a schedule, its initial value."""
    if isinstance(value, dict):
        return f"{value['initial']:g}"
    return f"{value:g}" if isinstance(value, int | float) else str(value)
