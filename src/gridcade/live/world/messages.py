"""The messages between the World page and its server, as JSON texts.

A message from the page is one of the structs below; its `type` names the struct. The server answers
with tables of the types `catalog`, `world`, `picture`, `history`, `update`, `map`, `seeds`,
`comparison`, `prediction` and `error`: see `lane.py`, `lane_seeds.py` and `prediction.py`.
"""

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from gridcade.live.messages import (
    Message,
    Name,
    Number,
    Probability,
    Seed,
    Text,
    decode_by,
)

MAX_CELLS = 10_000  # of an edit
MAX_SEEDS = 100  # of a comparison
MAX_SIDE = 70  # rows and columns of an edited world
STRONGEST_WIND = 9  # cells
LARGEST_REWARD = 1e6
Cell = tuple[int, int, Annotated[str, Meta(min_length=1, max_length=1)]]  # row, column, symbol
Place = tuple[int, int]  # row, column
Reward = Annotated[float, Meta(ge=-LARGEST_REWARD, le=LARGEST_REWARD)]
Side = Annotated[int, Meta(ge=1, le=MAX_SIDE)]
Wind = Annotated[int, Meta(ge=0, le=STRONGEST_WIND)]


class Open(Message, tag="open"):
    """Make a new world and learner, paused."""

    world: Name
    agent: Name
    map: Text | None = None  # the text of a map; then `world` is its title
    parameters: dict[Name, Name] = msgspec.field(default_factory=dict)  # by name, as texts
    seed: Seed = 0


class Run(Message, tag="run"):
    """Learn until `pause`."""


class Pause(Message, tag="pause"):
    """Stop learning."""


class Step(Message, tag="step"):
    """Pause, and take one step."""


class Episode(Message, tag="episode"):
    """Pause, and go on to the end of the episode."""


class Speed(Message, tag="speed"):
    """Set the speed."""

    steps_per_second: Annotated[float, Meta(ge=0.01, le=1e9)] | None  # None: as fast as possible


class Visible(Message, tag="visible"):
    """Report whether a person can see the page; a hidden page gets no pictures."""

    visible: bool


class Edit(Message, tag="edit"):
    """Draw symbols of the map's legend."""

    cells: Annotated[list[Cell], Meta(max_length=MAX_CELLS)]


class Paint(Message, tag="paint"):
    """Give cells a meaning; the server chooses the symbol."""

    cells: Annotated[list[Place], Meta(max_length=MAX_CELLS)]
    wall: bool = False
    start: bool = False
    end: bool = False
    reward: Reward = 0.0


class Portal(Message, tag="portal"):
    """Draw a portal that leads to one cell."""

    entrance: Place
    target: Place
    reward: Reward = 0.0


class Settings(Message, tag="settings"):
    """Change settings of the world; None: unchanged."""

    slip: Probability | None = None
    stray: Probability | None = None
    step_reward: Reward | None = None
    wind: Annotated[list[Wind], Meta(max_length=MAX_SIDE)] | None = None  # by column
    height: Side | None = None
    width: Side | None = None


class Predict(Message, tag="predict"):
    """Ask for the value of a drawn policy."""

    actions: Annotated[list[int | None], Meta(max_length=MAX_CELLS)]  # by state; None: no arrow
    criterion: Literal["return", "discounted", "average-reward"]
    discount: Annotated[float, Meta(ge=0, lt=1)] = 0.99


class Undo(Message, tag="undo"):
    """Take back the last edit or change of settings."""


class Save(Message, tag="save"):
    """Ask for the map as text."""


class Seek(Message, tag="seek"):
    """Pause, and return to a moment of the history."""

    branch: Number
    moment: Number | None = None  # None: the newest one of the branch


class Redraw(Message, tag="redraw"):
    """Replace the map by another one."""

    map: Text


class Seeds(Message, tag="seeds"):
    """Let learners with other seeds learn in the background, or stop them."""

    run: bool


class Compare(Message, tag="compare"):
    """Compare the seeds of this lane with those of another one."""

    steps: Number
    measure: Literal["average_reward", "expected_return", "discounted_return"]
    scores: Annotated[list[float | None], Meta(max_length=MAX_SEEDS)]  # of the other lane


Change = Edit | Paint | Portal | Settings | Redraw  # of the world
FromPage = (
    Open
    | Run
    | Pause
    | Step
    | Episode
    | Speed
    | Visible
    | Seek
    | Seeds
    | Compare
    | Change
    | Predict
    | Undo
    | Save
)
_decoder: msgspec.json.Decoder[FromPage] = msgspec.json.Decoder(FromPage)


def decode(text: str | bytes) -> FromPage:
    """Read a message from the World page; see `decode_by` for the errors."""
    return decode_by(_decoder, text)
