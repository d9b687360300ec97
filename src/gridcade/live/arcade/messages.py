"""The messages from the Arcade page, as JSON texts.

A message is one of the structs below; its `type` names the struct. The server answers with tables
of the types `policies`, `game`, `what_if` and `error`, and with pictures in bytes: see `process.py`
and `picture.py`.
"""

from typing import Annotated

import msgspec
from msgspec import Meta

from gridcade.live.messages import Message, Name, Probability, Seed, decode_by

Index = Annotated[int, Meta(ge=0, lt=2**31)]
SPEEDS = (0.25, 0.5, 1, 2, 4, 8, 16)  # times native speed


class Open(Message, tag="open"):
    """Load a policy, and start a game, paused."""

    policy: Name
    checkpoint: Index | None = None  # steps of a run's checkpoint; None: the last one
    env: Name = ""  # "": the policy's own
    seed: Seed = 0
    game: Index = 0  # number of the game with this seed
    step: Index = 0  # play on to this step of the game
    epsilon: Probability | None = None  # None: as in evaluations
    sample: bool = False  # sample from the policy's probabilities; else act greedily


class Play(Message, tag="play"):
    """Play until `pause`."""


class Pause(Message, tag="pause"):
    """Stop playing."""


class Step(Message, tag="step"):
    """Pause, and take one step."""


class Speed(Message, tag="speed"):
    """Set the speed."""

    factor: float  # one of SPEEDS


class Seek(Message, tag="seek"):
    """Show a step of this game; if it was not played yet, play on to it."""

    step: Index


class Game(Message, tag="game"):
    """Start another game with the same seed."""

    number: Index


class Take(Message, tag="take"):
    """Hand the controls to the person, or back to the policy."""

    person: bool


class Hold(Message, tag="hold"):
    """Set the action whose keys the person holds down; None: no key."""

    action: Index | None


class WhatIf(Message, tag="what_if"):
    """Pause, and try an action in continuations; any other message cancels them."""

    action: Index
    epsilon: Probability | None = None  # after the action; None: that of the game


class Fork(Message, tag="fork"):
    """Take this action at the present step, whatever the policy chose, and play on."""

    action: Index


class Back(Message, tag="back"):
    """Return to the step at which the game departed from the policy's own actions."""


FromArcade = Open | Play | Pause | Step | Speed | Seek | Game | Take | Hold | WhatIf | Fork | Back
_decoder: msgspec.json.Decoder[FromArcade] = msgspec.json.Decoder(FromArcade)


def decode(text: str | bytes) -> FromArcade:
    """Read a message from the Arcade page; see `messages.decode_by` for the errors."""
    return decode_by(_decoder, text)
