"""What the messages of all live pages share: their types, and how they are read and written."""

import base64
from typing import Annotated, Any, TypeVar

import msgspec
import numpy as np
from msgspec import Meta, Struct
from numpy.typing import NDArray

from gridcade.errors import InputError

T = TypeVar("T")

MAX_MESSAGE = 100_000  # bytes of a message from a page
RECEIVED = b""  # from the server to a process: the last picture has reached the page
Name = Annotated[str, Meta(max_length=200)]
Text = Annotated[str, Meta(max_length=50_000)]
Number = Annotated[int, Meta(ge=0, lt=2**53)]
Probability = Annotated[float, Meta(ge=0, le=1)]
Seed = Annotated[int, Meta(ge=0, lt=2**31)]


class Message(Struct, tag_field="type", forbid_unknown_fields=True):
    """A message from a page."""


def decode_by(decoder: msgspec.json.Decoder[T], text: str | bytes) -> T:
    """Read a message from a page.

    Raises:
        InputError: it is too long, not JSON, or not one of the messages.
    """
    if len(text) > MAX_MESSAGE:
        raise InputError(f"the message has {len(text)} characters; at most {MAX_MESSAGE} are read")
    try:
        return decoder.decode(text)
    except (msgspec.DecodeError, RecursionError, UnicodeError) as error:
        raise InputError(f"message not understood: {error}") from None


def encode(kind: str, **fields: Any) -> bytes:
    """Write a message from the server."""
    return msgspec.json.encode({"type": kind} | fields)


def pack_table(table: NDArray[np.float64] | NDArray[np.int64]) -> str:
    """Write a table as base64 of its numbers, row by row, as little-endian float32.

    Lists of JSON would take ten times as long to write.
    """
    return base64.b64encode(table.astype("<f4").tobytes()).decode()
