"""Reads gridworlds from map files, which hold settings, a legend and a drawing.

`docs/worlds.md` describes the format by examples.
"""

import math
import os.path
import re
import textwrap
import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import NamedTuple

from gridcade.envs.characters import character_name, is_invisible, make_visible
from gridcade.errors import InputError, unknown
from gridcade.files import read_text

MAPS = Path(__file__).parent / "maps"
SETTINGS = ("title", "about", "step reward", "slip", "stray", "wind", "time limit")
PROPERTIES = ("wall", "floor", "start", "end", "reward NUMBER", "to SYMBOL")
OTHER_WORDS = {"goal": "end", "terminal": "end", "empty": "floor", "portal": "to SYMBOL"}
FOUR_MOVES = ((-1, 0), (0, 1), (1, 0), (0, -1))  # up, right, down, left: rows down, columns right
STEPS_PER_CELL = 10  # the default time limit, in steps per cell that the agent can occupy


@dataclass(frozen=True)
class Cell:
    """The meaning of a symbol in a drawing."""

    wall: bool = False
    start: bool = False
    end: bool = False
    reward: float = 0.0  # added to the step reward of each move that ends here
    to: str = ""  # of a portal: the symbol of its target cells
    state: bool = False  # of a wall: whether it is a state, because it is open at another time
    color: tuple[int, int, int] | None = None  # red, green, blue; None: by the kind of cell


DEFAULT_LEGEND = {
    "#": Cell(wall=True),
    ".": Cell(),
    " ": Cell(),
    "S": Cell(start=True),
    "G": Cell(end=True, reward=1.0),
}


Place = tuple[int, int]  # row and column of a drawing, from 0
Position = tuple[int, int]  # line and column in a map file, from 1


@dataclass(frozen=True)
class World:
    """A gridworld. Places are (row, column), counted from the top left."""

    rows: tuple[str, ...]  # the drawing; all rows have the same width
    legend: dict[str, Cell] = field(default_factory=lambda: dict(DEFAULT_LEGEND))
    title: str = ""
    about: str = ""
    step_reward: float = 0.0
    slip: float = 0.0  # probability of a move to either side instead, half of it each
    stray: float = 0.0  # probability of a move in another direction instead, a third of it each
    wind: tuple[int, ...] = ()  # by column: cells that the wind pushes the agent up
    time_limit: int | None = None  # steps
    notes: tuple[str, ...] = ()  # probable mistakes in the map file

    @property
    def height(self) -> int:
        """Number of rows."""
        return len(self.rows)

    @property
    def width(self) -> int:
        """Number of columns."""
        return len(self.rows[0])

    def cell(self, row: int, column: int) -> Cell:
        """Return the cell at a place; a wall if the place is outside the drawing."""
        if 0 <= row < self.height and 0 <= column < self.width:
            return self.legend[self.rows[row][column]]
        return Cell(wall=True)

    @property
    def has_end(self) -> bool:
        """Whether the drawing has an end; a world without one is a continuing task."""
        return any(self.legend[symbol].end for row in self.rows for symbol in row)

    def move(self, place: Place, direction: Place) -> Place:
        """Return the place in which a move ends, after walls and wind; it can be a portal.

        Args:
            place: where the move begins.
            direction: one of `FOUR_MOVES`.
        """
        row, column = place
        wind = self.wind[column] if self.wind else 0
        if not self.cell(row + direction[0], column + direction[1]).wall:
            row, column = row + direction[0], column + direction[1]
        for _ in range(wind):
            if self.cell(row - 1, column).wall:
                break
            row -= 1
        return row, column

    def places(self, *, symbol: str | None = None) -> list[Place]:
        """List the places that an agent can occupy, row by row; these are the states.

        Args:
            symbol: return only the places drawn with this symbol.
        """
        return [
            (r, c)
            for r, row in enumerate(self.rows)
            for c, s in enumerate(row)
            if symbol in (None, s) and _is_state(self.legend[s])
        ]


def _is_state(cell: Cell) -> bool:
    return cell.state or not (cell.wall or cell.to)


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
    return parse_world(read_text(file, "the map"), str(file))


class Drawing(NamedTuple):
    """The rows of a drawing, padded to the same width, and their position in the map file."""

    rows: tuple[str, ...]
    lines: tuple[int, ...]  # the line of each row
    indent: int  # columns left of the drawing

    def position(self, place: Place) -> Position:
        """Return the position of a cell in the map file."""
        return self.lines[place[0]], self.indent + place[1] + 1


MAP_LINE = re.compile(r"\s*map\s*:?\s*", re.IGNORECASE)
LEGEND_ENTRY = re.compile(r"\s*(\S)\s*:(.*)")  # `G: end`; names of settings are longer
NO_COLON = re.compile(rf"({'|'.join(SETTINGS)}|\S)(?:\s*=\s*|\s+)(.+)", re.IGNORECASE)
COMMENT_OF_OTHERS = re.compile(r"\s*(#+ +|//+ *)[a-z]{2}", re.IGNORECASE)
# A line that looks like a setting or a legend entry, and not like a row of a drawing.
HEADER_LINE = re.compile(r"\s*([a-z][a-z _-]+[:=]|legend\s*$|\S\s*[:=]\s+[a-z])", re.IGNORECASE)


def parse_world(text: str, name: str = "map") -> World:
    """Read a world from text: `key: value` settings, a `legend:`, and the drawing after `map:`.

    Text without a line `map:` is only a drawing. Lines that start with `;` are comments. White
    space with which all rows of the drawing begin is not part of it.

    Raises:
        InputError: the text has a mistake; the message has `name`, the line and the column.
    """
    lines = re.split(r"\r\n|\r|\n", text)  # not at separators that editors do not show
    map_line = next((i for i, line in enumerate(lines) if MAP_LINE.fullmatch(line)), -1)
    if map_line == -1:
        _check_only_drawing(lines, name)
    settings, legend, legend_positions = _parse_header(lines[: max(map_line, 0)], name)
    drawing = _parse_drawing(lines[map_line + 1 :], map_line + 2, legend, name)
    world = _apply_settings(World(drawing.rows, legend), settings, name)
    _check_cells(world, drawing, legend_positions, name)
    notes = _check_ends(world, drawing, name)
    if not world.step_reward and not any(world.legend[s].reward for s in set("".join(world.rows))):
        notes.append(
            f"{name}: no move pays a reward, so all policies are equally good; write, for example, "
            "'G: end, reward 1' in the legend"
        )
    return replace(world, notes=tuple(notes))


def _error_at(name: str, line: int, column: int, message: str) -> InputError:
    return InputError(f"{name}, line {line}, column {column}: {make_visible(message)}")


def _is_comment(line: str) -> bool:
    return line.lstrip().startswith(";")


def _indent(line: str) -> int:
    return len(line) - len(line.lstrip())


def _check_only_drawing(lines: list[str], name: str) -> None:
    """Raise InputError if text without a line `map:` has settings or a legend."""
    header = [i for i, line in enumerate(lines) if HEADER_LINE.match(line)]
    if not header:
        return
    after_map = [i for i, line in enumerate(lines) if re.match(r"\s*map\b", line, re.IGNORECASE)]
    i = (after_map or header)[-1]
    where = "" if after_map else "below this line, "
    message = f"{where}write 'map:' on a line of its own, and below that the drawing"
    raise _error_at(name, i + 1, _indent(lines[i]) + 1, message)


def _parse_header(
    lines: list[str], name: str
) -> tuple[dict[str, Setting], dict[str, Cell], dict[str, Position]]:
    """Read the lines above the drawing: settings, legend, and the position of each legend entry."""
    settings: dict[str, Setting] = {}
    legend = dict(DEFAULT_LEGEND)
    legend_positions: dict[str, Position] = {}
    legend_indent: int | None = None  # of the line `legend:`, while its entries are read
    for number, line in enumerate(lines, 1):
        if not line.strip() or _is_comment(line):
            continue
        indent = _indent(line)
        if LEGEND_ENTRY.match(line):
            symbol, cell = _parse_legend_entry(line, number, name)
            if symbol in legend_positions:
                earlier, _ = legend_positions[symbol]
                message = f"'{symbol}' is already defined in line {earlier}"
                raise _error_at(name, number, indent + 1, message)
            legend[symbol] = cell
            legend_positions[symbol] = (number, indent + 1)
            continue
        before_colon, colon, value = (part.strip() for part in line.partition(":"))
        key = " ".join(before_colon.casefold().split())
        value_column = len(line.rstrip()) - len(value) + 1
        if key not in (*SETTINGS, "legend") or not (colon or key == "legend"):
            in_legend = legend_indent is not None and indent > legend_indent
            raise _error_at(name, number, indent + 1, _not_a_setting(line.strip(), in_legend))
        legend_indent = indent if key == "legend" else None
        if key == "legend" and value:
            message = "define each symbol on an indented line of its own below 'legend:'"
            raise _error_at(name, number, value_column, message)
        if key == "about" and key in settings:
            value = f"{settings[key].value} {value}"
        elif key in settings:
            message = f"'{key}' is already set in line {settings[key].line}"
            raise _error_at(name, number, indent + 1, message)
        settings[key] = Setting(value, number, value_column)
    return settings, legend, legend_positions


def _not_a_setting(line: str, in_legend: bool) -> str:
    """Write the message for a line that is neither a setting nor a legend entry."""
    if COMMENT_OF_OTHERS.match(line):
        return "a comment begins with ';'"
    key, colon, _ = line.partition(":")
    if not colon and (match := NO_COLON.fullmatch(line)):
        return f"write '{match[1]}: {match[2]}', with a colon"
    if in_legend:
        return f"expected one symbol and a colon, such as 'G: end', found '{line}'"
    if not colon:
        return f"expected 'key: value', found '{line}'"
    return str(unknown("setting", key.strip(), SETTINGS))


def _parse_legend_entry(line: str, number: int, name: str) -> tuple[str, Cell]:
    """Parse a line such as `    C: start, reward -99, to S` into the symbol and its cell."""
    symbol, properties = LEGEND_ENTRY.fullmatch(line).groups()  # type: ignore[union-attr]
    cell = Cell()
    column = len(line) - len(properties) + 1
    for text in properties.split(","):
        try:
            cell = _add_property(cell, text.strip())
        except ValueError as error:
            raise _error_at(name, number, column + _indent(text), str(error)) from None
        column += len(text) + 1
    message = ""
    if cell.wall and cell != Cell(wall=True):
        message = f"'{symbol}' is a wall, so it cannot have other properties"
    elif cell.to and (cell.start or cell.end):
        message = f"'{symbol}' is a portal, so it cannot be a start or an end"
    elif cell.start and cell.end:
        message = f"'{symbol}' cannot be both a start and an end"
    if message:
        raise _error_at(name, number, _indent(line) + 1, message)
    return symbol, cell


def _add_property(cell: Cell, text: str) -> Cell:
    """Add a property of the legend, such as `reward -99`, to a cell.

    Raises:
        ValueError: the property does not exist, or its number is invalid.
    """
    key, _, value = text.partition(" ")
    match key.casefold(), value.strip():
        case "wall", "":
            return replace(cell, wall=True)
        case "start", "":
            return replace(cell, start=True)
        case "end", "":
            return replace(cell, end=True)
        case "floor", "":
            return cell
        case "reward", reward if reward:
            return replace(cell, reward=parse_number(reward))
        case "to", symbol if len(symbol) == 1:
            return replace(cell, to=symbol)
        case (("wall" | "start" | "end" | "floor"), more):
            raise ValueError(f"separate properties with commas: '{key}, {more}'")
    if key.casefold() in OTHER_WORDS:
        meant = OTHER_WORDS[key.casefold()]
        raise ValueError(f"unknown cell property '{text}'; did you mean {meant}?")
    raise unknown("cell property", text, PROPERTIES)


def _parse_drawing(
    lines: list[str], first_line: int, legend: dict[str, Cell], name: str
) -> Drawing:
    """Read the rows of the drawing, without their common indent and padded to the same width."""
    numbered = [(n, line.rstrip()) for n, line in enumerate(lines, first_line)]
    drawn = [i for i, (_, line) in enumerate(numbered) if line and not _is_comment(line)]
    if not drawn:
        message = "the drawing is empty; draw at least a start and an end, such as S..G"
        raise _error_at(name, first_line, 1, message)
    numbered = [
        (n, line) for n, line in numbered[drawn[0] : drawn[-1] + 1] if not _is_comment(line)
    ]
    rows = textwrap.dedent("\n".join(line for _, line in numbered)).split("\n")
    indent = len(numbered[0][1]) - len(rows[0])
    for (number, line), row in zip(numbered, rows, strict=True):
        for c, symbol in enumerate(row):
            if symbol not in legend:
                _check_settings_above(numbered, name)
                message = _not_in_legend(symbol, line, legend)
                raise _error_at(name, number, indent + c + 1, message)
    width = max(map(len, rows))
    # Editors strip trailing spaces, so short rows are filled: with wall, if a symbol means wall.
    fill = next((symbol for symbol, cell in legend.items() if cell.wall), " ")
    return Drawing(
        tuple(row.ljust(width, fill) for row in rows), tuple(n for n, _ in numbered), indent
    )


def _check_settings_above(numbered: list[tuple[int, str]], name: str) -> None:
    """Raise InputError if a line of the drawing is a setting or a part of the legend."""
    for number, line in numbered:
        if HEADER_LINE.match(line):
            message = f"'{line.strip()}' is not a row of the drawing; write it above 'map:'"
            if MAP_LINE.fullmatch(line):
                message = "a map file has only one drawing, below its first line 'map:'"
            raise _error_at(name, number, _indent(line) + 1, message)


def _not_in_legend(symbol: str, line: str, legend: Mapping[str, Cell]) -> str:
    """Write the message for a symbol in the drawing that is not in the legend."""
    if COMMENT_OF_OTHERS.match(line) and symbol.isalpha():
        return f"'{symbol}' is not in the legend; a comment begins with ';'"
    if symbol == "\t":
        return "a tab has no meaning; indent all rows alike, and draw floor as '.'"
    if symbol.swapcase() in legend:
        return f"'{symbol}' is not in the legend; did you mean '{symbol.swapcase()}'?"
    if (meant := unicodedata.normalize("NFKC", symbol)) != symbol and meant in legend:
        return f"{character_name(symbol)} is not in the legend; did you mean '{meant}'?"
    if is_invisible(symbol):
        return f"{character_name(symbol)}, which cannot be seen, is not in the legend; remove it"
    known = " ".join(sorted(legend)).strip()
    if symbol.isalnum() and not symbol.isascii():  # other signs are named in every message
        known += f" and space; this is {character_name(symbol)}"
        return f"'{symbol}' is not in the legend ({known}); write its meaning below 'legend:'"
    return (
        f"'{symbol}' is not in the legend ({known} and space); write its meaning below 'legend:', "
        f"such as '{symbol}: floor'"
    )


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
        message = f"wind: {error}; separate the numbers with spaces"
        raise _error_at(name, line, column, message) from None
    if len(wind) != width:
        message = f"wind has {len(wind)} numbers; it must have {width}, one for each column"
        raise _error_at(name, line, column, message)
    return wind


def _parse_time_limit(setting: Setting | None, world: World, name: str) -> int | None:
    """Read the time limit; by default it depends on the number of cells."""
    if setting is None:
        return STEPS_PER_CELL * len(world.places()) if world.has_end else None
    text, line, column = setting
    if text.casefold() == "none":
        return None
    try:
        limit = _parse_count(text)
    except ValueError:
        limit = 0
    if limit == 0:
        message = f"time limit is {text}; it must be none, or an integer, 1 or greater"
        raise _error_at(name, line, column, message)
    if not world.has_end:
        message = (
            "the drawing has no end, so this is a continuing task, which has no time limit; draw "
            "an end such as G, or remove this line"
        )
        raise _error_at(name, line, column, message)
    return limit


def _check_cells(
    world: World, drawing: Drawing, legend_positions: dict[str, Position], name: str
) -> None:
    """Check that the drawing has a start, and cells for every portal to lead to."""
    symbols = {symbol for row in world.rows for symbol in row}
    if not any(world.legend[symbol].start for symbol in symbols):
        message = "the drawing has no start; draw an S, or a symbol with 'start' in the legend"
        raise _error_at(name, drawing.lines[0], drawing.indent + 1, message)
    for symbol in sorted(symbols):
        to = world.legend[symbol].to
        if to and not world.places(symbol=to):
            message = f"'{symbol}' leads to '{to}', but the drawing has no such cell to move to"
            raise _error_at(name, *legend_positions[symbol], message)


def _check_ends(world: World, drawing: Drawing, name: str) -> list[str]:
    """Check that ends can be reached, and return notes on probable mistakes.

    Raises:
        InputError: the drawing has ends, but no start can reach any of them.
    """
    if not world.has_end:
        return []
    successors = _possible_moves(world)
    predecessors: dict[Place, list[Place]] = {place: [] for place in successors}
    for place, targets in successors.items():
        for target in targets:
            predecessors[target].append(place)
    starts = [place for place in successors if world.cell(*place).start]
    ends = [place for place in successors if world.cell(*place).end]
    reached, can_end = _closure(successors, starts), _closure(predecessors, ends)

    def at(place: Place) -> str:
        line, column = drawing.position(place)
        return f"{name}, line {line}, column {column}"

    notes = []
    if cut_off := [place for place in starts if place not in can_end]:
        message = f"{at(cut_off[0])}: from this start no end can be reached"
        if len(cut_off) == len(starts):
            raise InputError(f"{message}; open a way to an end")
        when = "never end" if world.time_limit is None else "end only at the time limit"
        notes.append(f"{message}, so its episodes {when}")
    by_symbol = {world.rows[r][c]: (r, c) for r, c in reversed(ends)}
    drawn_and_reached = {world.rows[r][c] for r, c in reached}
    for symbol, place in by_symbol.items():
        if symbol not in drawn_and_reached:
            notes.append(f"{at(place)}: no start can reach the end '{symbol}'")
    return notes


def _possible_moves(world: World) -> dict[Place, list[Place]]:
    """Find the places to which moves from each place can lead; none from an end.

    Slip and stray add no places, because an agent can choose every direction itself.
    """
    targets = {cell.to: world.places(symbol=cell.to) for cell in world.legend.values() if cell.to}
    successors: dict[Place, list[Place]] = {}
    for place in world.places():
        successors[place] = []
        if world.cell(*place).end:
            continue
        for direction in FOUR_MOVES:
            row, column = world.move(place, direction)
            to = world.cell(row, column).to
            successors[place] += targets[to] if to else [(row, column)]
    return successors


def _closure(graph: Mapping[Place, Iterable[Place]], origins: Iterable[Place]) -> set[Place]:
    """Find the places that can be reached from the origins, and the origins."""
    seen = set(origins)
    waiting = list(seen)
    while waiting:
        new = set(graph[waiting.pop()]) - seen
        seen |= new
        waiting += new
    return seen
