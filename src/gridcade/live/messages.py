"""Types that the messages of all live pages share, and functions that read and write them."""

import base64
from typing import Annotated, Any, TypeVar

import msgspec
import numpy as np
from msgspec import Meta, Struct
from numpy.typing import NDArray

from gridcade.errors import InputError

T = TypeVar("T")

MAX_MESSAGE = 100_000  # bytes of a message from a page
RECEIVED = b""  # the server sends this to a process after each picture that it sent to the page
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
        InputError: the text is too long, not JSON, or not one of the messages.
    """
    if len(text) > MAX_MESSAGE:
        raise InputError(f"the message has {len(text)} characters; the limit is {MAX_MESSAGE}")
    try:
        return decoder.decode(text)
    except (msgspec.DecodeError, RecursionError, UnicodeError) as error:
        raise InputError(f"message not understood: {error}") from None


def encode(kind: str, **fields: Any) -> bytes:
    """Write a message from the server."""
    return msgspec.json.encode({"type": kind} | fields)


def pack_table(table: NDArray[np.float64] | NDArray[np.int64]) -> str:
    """Write the numbers of a table, row by row, as base64 of little-endian float32.

    Writing JSON lists would take ten times as long.
    """
    return base64.b64encode(table.astype("<f4").tobytes()).decode()
