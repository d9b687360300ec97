"""Pictures of the Arcade page in bytes: screens, what the network sees, and numbers.

4 bytes   length of the header, big-endian
header    JSON: see `picture` below, and the messages of the Arcade in docs/live.md
rest      compressed by zlib: the screens, and then the frames of the observation
"""

import zlib
from collections.abc import Mapping
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from gridcade.live.arcade.arcade import Arcade, observation_text
from gridcade.live.arcade.consoles import Screens

FASTEST = 1  # level of zlib


def picture(arcade: Arcade, screens: Screens, **fields: Any) -> bytes:
    """Write the picture of the present moment, with the moments that the page does not have.

    Args:
        arcade: the session.
        screens: screens to show, one after the other.
        fields: more fields of the header.
    """
    game, console = arcade.game, arcade.console
    moment = game.moment
    stack = np.asarray(game.observation) if console.stack else np.empty(0, dtype=np.uint8)
    choice = moment.choice
    new = game.line.moments[game.kept :]
    header = {
        "step": game.step,
        "frame": game.step * console.frames_per_step,
        "last": game.last_step,
        "game": arcade.number,
        "score": moment.score,
        "reward": moment.reward,
        "lives": moment.lives,
        "life_lost": moment.life_lost,
        "end": moment.end,
        "departed": game.departed,
        "per_action": None if choice.per_action is None else choice.per_action.tolist(),
        "value": choice.value,
        "action": _number(choice.action),
        "taken": None if moment.taken is None else _number(moment.taken),
        "observation": "" if console.stack else observation_text(game.observation),
        "screens": screens.shape,
        "stack": stack.shape,
        "first": game.kept,
        "values": [m.choice.value for m in new],
        "rewards": [m.reward for m in new],
        "lives_lost": [i for i, m in enumerate(new, game.kept) if m.life_lost],
        **fields,
    }
    game.kept = len(game.line.moments)
    return pack(header, screens, stack)


def pack(header: Mapping[str, Any], *arrays: NDArray[np.uint8]) -> bytes:
    """Write a header and arrays of bytes as one message."""
    text = msgspec.json.encode(header)
    content = b"".join(np.ascontiguousarray(array).data for array in arrays)
    return len(text).to_bytes(4, "big") + text + zlib.compress(content, FASTEST)


def unpack(message: bytes) -> tuple[dict[str, Any], bytes]:
    """Read what `pack` wrote: the header, and the arrays' bytes one after the other."""
    end = 4 + int.from_bytes(message[:4], "big")
    return msgspec.json.decode(message[4:end]), zlib.decompress(message[end:])


def _number(action: Any) -> int | list[float]:
    """Convert an action to JSON: its number, or the numbers of a continuous action."""
    array = np.asarray(action)
    return int(array) if array.ndim == 0 and array.dtype.kind in "iu" else array.ravel().tolist()
