"""Worlds drawn in a text file: settings, a legend, and the map."""

import math
import os.path
from dataclasses import dataclass, field, replace
from pathlib import Path

from gridcade.errors import InputError, unknown

MAPS = Path(__file__).parent / "maps"
SETTINGS = ("title", "about", "step reward", "slip", "stray", "wind", "time limit")
DEFAULT_LIMIT_PER_CELL = 10  # steps; a limit for drawings that name none
Setting = tuple[str, int, int]  # a setting's value, and its line and column


@dataclass(frozen=True)
class Cell:
    """What a symbol of the map stands for."""

    wall: bool = False
    start: bool = False
    end: bool = False
    reward: float = 0.0  # on top of the step reward, for each move that ends here
    to: str = ""  # a portal: the symbol of the cells it leads to


DEFAULT_LEGEND = {
    "#": Cell(wall=True),
    ".": Cell(),
    " ": Cell(),
    "S": Cell(start=True),
    "G": Cell(end=True, reward=1.0),
}


@dataclass(frozen=True)
class World:
    """A drawn world. Cells are (row, column), counted from the top left."""

    rows: tuple[str, ...]  # the drawing, every row of the same width
    legend: dict[str, Cell] = field(default_factory=lambda: dict(DEFAULT_LEGEND))
    title: str = ""
    about: str = ""
    step_reward: float = 0.0
    slip: float = 0.0  # probability of moving to one of the two sides instead, half each
    stray: float = 0.0  # probability of moving in one of the three other directions, a third each
    wind: tuple[int, ...] = ()  # cells blown upwards, by column
    time_limit: int | None = None  # steps; None: none

    @property
    def height(self) -> int:
        """Rows."""
        return len(self.rows)

    @property
    def width(self) -> int:
        """Columns."""
        return len(self.rows[0])

    def cell(self, row: int, column: int) -> Cell:
        """What stands at a place; outside the drawing is wall."""
        if 0 <= row < self.height and 0 <= column < self.width:
            return self.legend[self.rows[row][column]]
        return Cell(wall=True)

    def places(self, *, symbol: str | None = None) -> list[tuple[int, int]]:
        """The cells that an agent can stand on (of one symbol), row by row: the states."""
        return [
            (r, c)
            for r, row in enumerate(self.rows)
            for c, s in enumerate(row)
            if not (self.legend[s].wall or self.legend[s].to) and symbol in (None, s)
        ]


def load_world(path: str | Path) -> World:
    """Read a world from a file, or one that ships by its name.

    Raises:
        InputError: no such file or world, or a mistake in it, with its line and column.
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
    """Read a world from text: `key: value` settings, a `legend:`, and after `map:` the drawing.

    A text without a line `map:` is all drawing. `;` starts a comment line outside the drawing.

    Raises:
        InputError: with `name`, line and column of the mistake.
    """
    lines = text.splitlines()
    head = next((i for i, line in enumerate(lines) if line.strip() == "map:"), -1)
    settings: dict[str, Setting] = {}
    legend = dict(DEFAULT_LEGEND)
    legend_places: dict[str, tuple[int, int]] = {}
    in_legend = False
    for number, line in enumerate(lines[: max(head, 0)], 1):
        if not line.strip() or line.lstrip().startswith(";"):
            continue
        here = len(line) - len(line.lstrip()) + 1
        if line[0].isspace() and in_legend:
            symbol, cell = _legend_line(line, name, number)
            if symbol in legend_places:
                line_before = legend_places[symbol][0]
                message = f"'{symbol}' was given before, in line {line_before}"
                raise _at(name, number, here, message)
            legend[symbol] = cell
            legend_places[symbol] = (number, here)
            continue
        key, colon, value = (part.strip() for part in line.partition(":"))
        column = len(line.rstrip()) - len(value) + 1
        in_legend = key == "legend"
        if not colon:
            raise _at(name, number, here, f"expected 'key: value', found '{line.strip()}'")
        if in_legend and value:
            raise _at(name, number, column, "each symbol of the legend has an indented line")
        if key == "about" and "about" in settings:
            value = f"{settings['about'][0]} {value}"
        elif not in_legend and key not in SETTINGS:
            raise _at(name, number, here, str(unknown("setting", key, SETTINGS)))
        elif key in settings:
            raise _at(name, number, here, f"'{key}' was given before, in line {settings[key][1]}")
        settings[key] = (value, number, column)
    world = World(_drawing(lines, head, name, legend), legend)
    world = _settle(world, settings, name)
    _check(world, name, head + 2, legend_places)
    return world


def _at(name: str, line: int, column: int, message: str) -> InputError:
    return InputError(f"{name}, line {line}, column {column}: {message}")


def number(text: str) -> float:
    """A finite number, written `0.5` or `1/3`.

    Raises:
        ValueError: it is neither.
    """
    top, slash, bottom = text.partition("/")
    try:
        value = float(top) / (float(bottom) if slash else 1.0)
    except (ValueError, ZeroDivisionError):
        value = math.nan
    if not math.isfinite(value):
        raise ValueError(f"'{text}' is not a number such as 0.5 or 1/3")
    return value


def _whole(text: str) -> int:
    """A whole number, 0 or more.

    Raises:
        ValueError: it is none.
    """
    value = number(text)
    if value < 0 or not value.is_integer():
        raise ValueError(f"'{text}' is not a whole number")
    return int(value)


def _legend_line(line: str, name: str, row: int) -> tuple[str, Cell]:
    """`    C: start, reward -99, to S` -> the symbol and its cell."""
    indent = len(line) - len(line.lstrip())
    symbol, colon = line[indent], line[indent + 1 : indent + 2]
    if colon != ":":
        raise _at(name, row, indent + 1, "expected one symbol and a colon, such as 'G: end'")
    cell = Cell()
    column = indent + 3
    for part in line[indent + 2 :].split(","):
        word, _, rest = part.strip().partition(" ")
        rest = rest.strip()
        here = column + len(part) - len(part.lstrip())
        column += len(part) + 1
        if word in ("wall", "start", "end") and not rest:
            cell = replace(cell, wall=cell.wall or word == "wall")
            cell = replace(cell, start=cell.start or word == "start", end=cell.end or word == "end")
        elif word == "floor" and not rest:
            pass
        elif word == "reward":
            try:
                cell = replace(cell, reward=number(rest))
            except ValueError as error:
                raise _at(name, row, here, str(error)) from None
        elif word == "to" and len(rest) == 1:
            cell = replace(cell, to=rest)
        else:
            known = ("wall", "floor", "start", "end", "reward NUMBER", "to SYMBOL")
            raise _at(name, row, here, str(unknown("cell property", part.strip(), known)))
    if cell.wall and cell != Cell(wall=True):
        raise _at(name, row, indent + 1, f"'{symbol}' is a wall and something else")
    if cell.to and (cell.start or cell.end):
        raise _at(name, row, indent + 1, f"'{symbol}' is a portal: it cannot be a start or an end")
    if cell.start and cell.end:
        raise _at(name, row, indent + 1, f"'{symbol}' is both a start and an end")
    return symbol, cell


def _drawing(lines: list[str], head: int, name: str, legend: dict[str, Cell]) -> tuple[str, ...]:
    drawn = [line.rstrip() for line in lines[head + 1 :]]
    while drawn and not drawn[-1]:
        drawn.pop()
    first = next((i for i, line in enumerate(drawn) if line), len(drawn))
    if first == len(drawn):
        raise _at(name, head + 2, 1, "the drawing is empty")
    for r, row in enumerate(drawn):
        for c, symbol in enumerate(row):
            if symbol not in legend:
                known = " ".join(sorted(legend))
                message = f"'{symbol}' is not in the legend ({known})"
                raise _at(name, head + 2 + r, c + 1, message)
    width = max(map(len, drawn))
    # Spaces at a line's end are easily lost; the world's outside is wall, if a symbol means that.
    fill = next((symbol for symbol, cell in legend.items() if cell.wall), " ")
    return tuple(row.ljust(width, fill) for row in drawn[first:])


def _settle(world: World, settings: dict[str, Setting], name: str) -> World:
    """The settings, read and checked."""

    def read(key: str) -> float:
        text, line, column = settings.get(key, ("0", 0, 0))
        try:
            value = number(text)
        except ValueError as error:
            raise _at(name, line, column, str(error)) from None
        if key != "step reward" and not 0 <= value <= 1:
            raise _at(name, line, column, f"{key} is a probability, not {text}")
        return value

    wind: tuple[int, ...] = ()
    if "wind" in settings:
        text, line, column = settings["wind"]
        try:
            wind = tuple(map(_whole, text.split()))
        except ValueError as error:
            raise _at(name, line, column, f"wind: {error}") from None
        if len(wind) != world.width:
            message = f"wind takes {world.width} whole numbers, one a column, not {len(wind)}"
            raise _at(name, line, column, message)
    ends = any(world.legend[s].end for row in world.rows for s in row)
    limit = DEFAULT_LIMIT_PER_CELL * len(world.places()) if ends else None
    if "time limit" in settings:
        text, line, column = settings["time limit"]
        try:
            limit = None if text == "none" else _whole(text)
        except ValueError as error:
            raise _at(name, line, column, f"{error} of steps, nor none") from None
        if limit == 0:
            raise _at(name, line, column, "a time limit takes 1 step or more")
        if limit and not ends:
            raise _at(name, line, column, "a world without an end is continuing: no time limit")
    world = replace(
        world,
        title=settings.get("title", (Path(name).stem, 0, 0))[0],
        about=settings.get("about", ("", 0, 0))[0],
        step_reward=read("step reward"),
        slip=read("slip"),
        stray=read("stray"),
        wind=wind,
        time_limit=limit,
    )
    if world.slip + world.stray > 1:
        _, line, column = settings["stray"]
        message = "slip and stray are probabilities of one move: together 1 at most"
        raise _at(name, line, column, message)
    return world


def _check(world: World, name: str, top: int, places: dict[str, tuple[int, int]]) -> None:
    """A start exists, and every portal that is drawn leads to cells that are drawn."""
    drawn = {s for row in world.rows for s in row}
    if not any(world.legend[s].start for s in drawn):
        raise _at(name, top, 1, "the drawing has no start (S, or a symbol with 'start')")
    for symbol in sorted(drawn):
        to = world.legend[symbol].to
        if to and not world.places(symbol=to):
            message = f"'{symbol}' leads to '{to}', which is no cell of the drawing to stand on"
            raise _at(name, *places[symbol], message)
