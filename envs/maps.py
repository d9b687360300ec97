"""Gridworlds as text: reads a map file, which holds settings, a legend and a drawing."""

import math
import os.path
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import NamedTuple

from gridcade.errors import InputError, unknown

MAPS = Path(__file__).parent / "maps"
SETTINGS = ("title", "about", "step reward", "slip", "stray", "wind", "time limit")
STEPS_PER_CELL = 10  # the default time limit, in steps per cell that the agent can occupy


@dataclass(frozen=True)
class Cell:
    """The meaning of a symbol in a drawing."""

    wall: bool = False
    start: bool = False
    end: bool = False
    reward: float = 0.0  # added to the step reward of each move that ends here
    to: str = ""  # of a portal: the symbol of its target cells


DEFAULT_LEGEND = {
    "#": Cell(wall=True),
    ".": Cell(),
    " ": Cell(),
    "S": Cell(start=True),
    "G": Cell(end=True, reward=1.0),
}


@dataclass(frozen=True)
class World:
    """A gridworld as drawn. Places are (row, column), counted from the top left."""

    rows: tuple[str, ...]  # the drawing; all rows have the same width
    legend: dict[str, Cell] = field(default_factory=lambda: dict(DEFAULT_LEGEND))
    title: str = ""
    about: str = ""
    step_reward: float = 0.0
    slip: float = 0.0  # probability of a move to either side instead, half of it each
    stray: float = 0.0  # probability of a move in another direction instead, a third of it each
    wind: tuple[int, ...] = ()  # by column: cells that the wind pushes the agent up
    time_limit: int | None = None  # steps

    @property
    def height(self) -> int:
        """Number of rows."""
        return len(self.rows)

    @property
    def width(self) -> int:
        """Number of columns."""
        return len(self.rows[0])

    def cell(self, row: int, column: int) -> Cell:
        """The cell at a place; a wall outside the drawing."""
        if 0 <= row < self.height and 0 <= column < self.width:
            return self.legend[self.rows[row][column]]
        return Cell(wall=True)

    def places(self, *, symbol: str | None = None) -> list[tuple[int, int]]:
        """The places that an agent can occupy, row by row; these are the states.

        Args:
            symbol: return only the places drawn with this symbol.
        """
        return [
            (r, c)
            for r, row in enumerate(self.rows)
            for c, s in enumerate(row)
            if not (self.legend[s].wall or self.legend[s].to) and symbol in (None, s)
        ]


Position = tuple[int, int]  # line and column in a map file, from 1


class Setting(NamedTuple):
    """The value of a setting in a map file, and its position there."""

    value: str
    line: int
    column: int


def load_world(path: str | Path) -> World:
    """Read a world from a map file, or from `envs/maps` by its name.

    Raises:
        InputError: the file or name does not exist, or the map has a mistake (the message has its
            line and column).
    """
    shipped = {file.stem: file for file in MAPS.glob("*.txt")}
    file = shipped.get(str(path), Path(path))
    if not os.path.isfile(file) and file.suffix != ".txt":
        raise unknown("world", str(path), shipped)
    try:
        text = file.read_text(encoding="utf-8-sig")
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "not a text file"
        raise InputError(f"cannot read the map {file}: {reason}") from None
    return parse_world(text, str(file))


def parse_world(text: str, name: str = "map") -> World:
    """Read a world from text: `key: value` settings, a `legend:`, and the drawing after `map:`.

    Text without a line `map:` is only a drawing. Lines that start with `;` are comments, except in
    the drawing.

    Raises:
        InputError: the text has a mistake; the message has `name`, the line and the column.
    """
    lines = text.splitlines()
    map_line = next((i for i, line in enumerate(lines) if line.strip() == "map:"), -1)
    settings, legend, legend_positions = _parse_header(lines[: max(map_line, 0)], name)
    first_line = map_line + 2  # the line number of the drawing's first row
    rows = _parse_drawing(lines[map_line + 1 :], first_line, legend, name)
    world = _apply_settings(World(rows, legend), settings, name)
    _check_cells(world, first_line, legend_positions, name)
    return world


def _error_at(name: str, line: int, column: int, message: str) -> InputError:
    return InputError(f"{name}, line {line}, column {column}: {message}")


def _parse_header(
    lines: list[str], name: str
) -> tuple[dict[str, Setting], dict[str, Cell], dict[str, Position]]:
    """Read the lines above the drawing: settings, legend, and the position of each legend entry."""
    settings: dict[str, Setting] = {}
    legend = dict(DEFAULT_LEGEND)
    legend_positions: dict[str, Position] = {}
    in_legend = False
    for number, line in enumerate(lines, 1):
        if not line.strip() or line.lstrip().startswith(";"):
            continue
        first_column = len(line) - len(line.lstrip()) + 1
        if line[0].isspace() and in_legend:
            symbol, cell = _parse_legend_entry(line, number, name)
            if symbol in legend_positions:
                earlier, _ = legend_positions[symbol]
                message = f"'{symbol}' is already defined in line {earlier}"
                raise _error_at(name, number, first_column, message)
            legend[symbol] = cell
            legend_positions[symbol] = (number, first_column)
            continue
        key, colon, value = (part.strip() for part in line.partition(":"))
        value_column = len(line.rstrip()) - len(value) + 1
        in_legend = key == "legend"
        if not colon:
            message = f"expected 'key: value', found '{line.strip()}'"
            raise _error_at(name, number, first_column, message)
        if in_legend and value:
            message = "define each symbol on an indented line of its own below 'legend:'"
            raise _error_at(name, number, value_column, message)
        if key == "about" and "about" in settings:
            value = f"{settings['about'].value} {value}"
        elif not in_legend and key not in SETTINGS:
            raise _error_at(name, number, first_column, str(unknown("setting", key, SETTINGS)))
        elif key in settings:
            message = f"'{key}' is already set in line {settings[key].line}"
            raise _error_at(name, number, first_column, message)
        settings[key] = Setting(value, number, value_column)
    return settings, legend, legend_positions


def _parse_legend_entry(line: str, number: int, name: str) -> tuple[str, Cell]:
    """Parse a line such as `    C: start, reward -99, to S` into the symbol and its cell."""
    indent = len(line) - len(line.lstrip())
    symbol, colon = line[indent], line[indent + 1 : indent + 2]
    if colon != ":":
        message = "expected one symbol and a colon, such as 'G: end'"
        raise _error_at(name, number, indent + 1, message)
    cell = Cell()
    column = indent + 3
    for text in line[indent + 2 :].split(","):
        try:
            cell = _add_property(cell, text.strip())
        except ValueError as error:
            leading_spaces = len(text) - len(text.lstrip())
            raise _error_at(name, number, column + leading_spaces, str(error)) from None
        column += len(text) + 1
    message = ""
    if cell.wall and cell != Cell(wall=True):
        message = f"'{symbol}' is a wall, so it cannot have other properties"
    elif cell.to and (cell.start or cell.end):
        message = f"'{symbol}' is a portal, so it cannot be a start or an end"
    elif cell.start and cell.end:
        message = f"'{symbol}' cannot be both a start and an end"
    if message:
        raise _error_at(name, number, indent + 1, message)
    return symbol, cell


def _add_property(cell: Cell, text: str) -> Cell:
    """Add a property of the legend, such as `reward -99`, to a cell.

    Raises:
        ValueError: the property does not exist, or its number is invalid.
    """
    key, _, value = text.partition(" ")
    match key, value.strip():
        case "wall", "":
            return replace(cell, wall=True)
        case "start", "":
            return replace(cell, start=True)
        case "end", "":
            return replace(cell, end=True)
        case "floor", "":
            return cell
        case "reward", reward:
            return replace(cell, reward=parse_number(reward))
        case "to", symbol if len(symbol) == 1:
            return replace(cell, to=symbol)
    known = ("wall", "floor", "start", "end", "reward NUMBER", "to SYMBOL")
    raise unknown("cell property", text, known)


def _parse_drawing(
    lines: list[str], first_line: int, legend: dict[str, Cell], name: str
) -> tuple[str, ...]:
    """Read the rows of the drawing, padded to the same width."""
    rows = [line.rstrip() for line in lines]
    while rows and not rows[-1]:
        rows.pop()
    first = next((i for i, row in enumerate(rows) if row), len(rows))
    if first == len(rows):
        raise _error_at(name, first_line, 1, "the drawing is empty")
    for r, row in enumerate(rows):
        for c, symbol in enumerate(row):
            if symbol not in legend:
                message = f"'{symbol}' is not in the legend ({' '.join(sorted(legend))})"
                raise _error_at(name, first_line + r, c + 1, message)
    width = max(map(len, rows))
    # Editors strip trailing spaces. The outside of a world is wall, if a symbol stands for wall.
    fill = next((symbol for symbol, cell in legend.items() if cell.wall), " ")
    return tuple(row.ljust(width, fill) for row in rows[first:])


def parse_number(text: str) -> float:
    """Parse a finite number such as `0.5` or `1/3`.

    Raises:
        ValueError: the text is not such a number.
    """
    numerator, slash, denominator = text.partition("/")
    try:
        value = float(numerator) / (float(denominator) if slash else 1.0)
    except (ValueError, ZeroDivisionError):
        value = math.nan
    if not math.isfinite(value):
        raise ValueError(f"'{text}' is not a number such as 0.5 or 1/3")
    return value


def _parse_count(text: str) -> int:
    """Parse an integer, 0 or greater.

    Raises:
        ValueError: the text is not such an integer.
    """
    try:
        value = parse_number(text)
    except ValueError:
        value = -1.0
    if value < 0 or not value.is_integer():
        raise ValueError(f"'{text}' is not an integer, 0 or greater")
    return int(value)


def _apply_settings(world: World, settings: dict[str, Setting], name: str) -> World:
    """Add the settings to a world that has only rows and a legend."""

    def parse(key: str) -> float:
        if key not in settings:
            return 0.0
        text, line, column = settings[key]
        try:
            value = parse_number(text)
        except ValueError as error:
            raise _error_at(name, line, column, str(error)) from None
        if key != "step reward" and not 0 <= value <= 1:
            message = f"{key} is {text}; it must be a probability from 0 to 1"
            raise _error_at(name, line, column, message)
        return value

    world = replace(
        world,
        title=settings["title"].value if "title" in settings else Path(name).stem,
        about=settings["about"].value if "about" in settings else "",
        step_reward=parse("step reward"),
        slip=parse("slip"),
        stray=parse("stray"),
        wind=_parse_wind(settings.get("wind"), world.width, name),
        time_limit=_parse_time_limit(settings.get("time limit"), world, name),
    )
    if world.slip + world.stray > 1:
        _, line, column = settings["stray"]
        message = f"slip + stray is {world.slip + world.stray:g}; it must be 1 or less"
        raise _error_at(name, line, column, message)
    return world


def _parse_wind(setting: Setting | None, width: int, name: str) -> tuple[int, ...]:
    if setting is None:
        return ()
    text, line, column = setting
    try:
        wind = tuple(map(_parse_count, text.split()))
    except ValueError as error:
        raise _error_at(name, line, column, f"wind: {error}") from None
    if len(wind) != width:
        message = f"wind has {len(wind)} numbers; it must have {width}, one for each column"
        raise _error_at(name, line, column, message)
    return wind


def _parse_time_limit(setting: Setting | None, world: World, name: str) -> int | None:
    """Read the time limit; by default it depends on the number of cells."""
    has_end = any(world.legend[symbol].end for row in world.rows for symbol in row)
    if setting is None:
        return STEPS_PER_CELL * len(world.places()) if has_end else None
    text, line, column = setting
    if text == "none":
        return None
    try:
        limit = _parse_count(text)
    except ValueError:
        limit = 0
    if limit == 0:
        message = f"time limit is {text}; it must be none, or an integer, 1 or greater"
        raise _error_at(name, line, column, message)
    if not has_end:
        message = "a world without an end is a continuing task; its time limit must be none"
        raise _error_at(name, line, column, message)
    return limit


def _check_cells(
    world: World, first_line: int, legend_positions: dict[str, Position], name: str
) -> None:
    """Check that the drawing has a start, and cells for every portal to lead to."""
    symbols = {symbol for row in world.rows for symbol in row}
    if not any(world.legend[symbol].start for symbol in symbols):
        message = "the drawing has no start; draw an S, or a symbol with 'start' in the legend"
        raise _error_at(name, first_line, 1, message)
    for symbol in sorted(symbols):
        to = world.legend[symbol].to
        if to and not world.places(symbol=to):
            message = f"'{symbol}' leads to '{to}', but the drawing has no such cell to move to"
            raise _error_at(name, *legend_positions[symbol], message)
