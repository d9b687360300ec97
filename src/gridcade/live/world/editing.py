"""Changes of a drawn world.

Every world that `change` returns can be written as a map file and read again. A portal that the
page draws leads to one cell, which then has a symbol of its own.
"""

import string
from dataclasses import replace

from gridcade.envs.map_writer import world_text
from gridcade.envs.maps import STEPS_PER_CELL, Cell, Place, World, parse_world
from gridcade.errors import InputError, unknown
from gridcade.live.world.messages import Change, Edit, Paint, Portal, Redraw, Settings
from gridcade.live.world.place import cell_name

# Symbols for new meanings. "S" and "G" are reserved for starts and goals.
NEW_SYMBOLS = "".join(s for s in string.ascii_letters + string.digits if s not in "SG")


def change(world: World, request: Change) -> World:
    """Return the changed world.

    Raises:
        InputError: a cell or symbol does not exist, or the change would leave no valid map.
    """
    match request:
        case Edit():
            changed = _draw(world, request)
        case Paint():
            changed = _paint(world, request)
        case Portal():
            changed = _connect(world, request)
        case Settings():
            changed = _with_settings(world, request)
        case Redraw():
            changed = parse_world(request.map, world.title)
    if not changed.has_end:
        changed = replace(changed, time_limit=None)
    elif not world.has_end:
        changed = replace(changed, time_limit=STEPS_PER_CELL * len(changed.places()))
    _check(changed)
    return changed


class Sketch:
    """A world in text that is being changed.

    Attributes:
        world: the world before the change.
        legend: meanings of the symbols.
        rows: the symbols, [height][width].
        targets: symbols to which drawn portals lead, except starts: a portal to a start leads to
            every start that has its symbol, wherever it is drawn.
    """

    def __init__(self, world: World):
        self.world = world
        self.legend = dict(world.legend)
        self.rows = [list(row) for row in world.rows]
        drawn = {world.legend[symbol].to for row in world.rows for symbol in row}
        self.targets = {to for to in drawn if to and not world.legend[to].start}

    def finished(self) -> World:
        """Return the world with the changes so far."""
        return replace(
            self.world, legend=self.legend, rows=tuple("".join(row) for row in self.rows)
        )

    def symbol_at(self, place: Place) -> str:
        """Return the symbol at a place.

        Raises:
            InputError: the place lies outside the world.
        """
        row, column = place
        if not (0 <= row < self.world.height and 0 <= column < self.world.width):
            raise InputError(f"{cell_name(place)} lies outside the world")
        return self.rows[row][column]

    def draw(self, place: Place, symbol: str) -> None:
        """Draw a symbol at a place in the world."""
        self.symbol_at(place)
        self.rows[place[0]][place[1]] = symbol

    def symbol_for(self, cell: Cell) -> str:
        """Return a symbol with this meaning to which no portal leads, an old or a new one.

        Raises:
            InputError: all symbols have another meaning.
        """
        for symbol, meaning in self.legend.items():
            if meaning == cell and symbol not in self.targets and symbol != " ":
                return symbol
        return self.new_symbol(cell)

    def new_symbol(self, cell: Cell) -> str:
        """Give this meaning to a symbol that is not drawn yet, and return the symbol."""
        used = {symbol for row in self.rows for symbol in row} | self.targets
        used |= {self.legend[symbol].to for symbol in used}
        free = [symbol for symbol in NEW_SYMBOLS if symbol not in used]
        if not free:
            raise InputError(
                f"the world has {len(NEW_SYMBOLS)} kinds of cells; no other kind can be drawn"
            )
        symbol = next((symbol for symbol in free if symbol not in self.legend), free[0])
        self.legend[symbol] = cell
        return symbol


def _draw(world: World, request: Edit) -> World:
    """Draw symbols into the map."""
    sketch = Sketch(world)
    for row, column, symbol in request.cells:
        if symbol not in world.legend:
            raise unknown("symbol", symbol, world.legend)
        # A map file must not end its rows with spaces.
        sketch.draw((row, column), sketch.symbol_for(Cell()) if symbol == " " else symbol)
    return sketch.finished()


def _paint(world: World, request: Paint) -> World:
    """Give cells a meaning. The portals to a cell still lead there; `_check` refuses a wall."""
    cell = Cell(request.wall, request.start, request.end, request.reward)
    if cell.wall and cell != Cell(wall=True):
        raise InputError("a wall cannot have other properties")
    if cell.start and cell.end:
        raise InputError("a cell cannot be both a start and an end")
    sketch = Sketch(world)
    symbol = sketch.symbol_for(cell)
    for place in request.cells:
        old = sketch.symbol_at(place)
        if old in sketch.targets and not cell.wall and len(world.places(symbol=old)) == 1:
            sketch.legend[old] = cell
        else:
            sketch.draw(place, symbol)
    return sketch.finished()


def _connect(world: World, request: Portal) -> World:
    """Draw a portal from one cell to another."""
    sketch = Sketch(world)
    entrance, target = request.entrance, request.target
    symbol = sketch.symbol_at(target)
    meaning = sketch.legend[symbol]
    if entrance == target:
        raise InputError("a portal must lead to another cell")
    if meaning.wall or meaning.to:
        kind = "wall" if meaning.wall else "portal"
        raise InputError(f"{cell_name(target)} is a {kind}; a portal must lead to an open cell")
    if sketch.symbol_at(entrance) in sketch.targets:
        name = cell_name(entrance)
        raise InputError(f"a portal leads to {name}, so it cannot be a portal itself")
    if symbol == " " or set(world.places(symbol=symbol)) - {entrance} != {target}:
        if _leads_to(world, symbol):
            raise InputError(f"{cell_name(target)} is one of several targets of another portal")
        symbol = sketch.new_symbol(meaning)
        sketch.draw(target, symbol)
    sketch.targets.add(symbol)
    sketch.draw(entrance, sketch.symbol_for(Cell(reward=request.reward, to=symbol)))
    return sketch.finished()


def _with_settings(world: World, request: Settings) -> World:
    """Change probabilities, the step reward, the wind or the size of the drawing."""
    given = {name: getattr(request, name) for name in ("slip", "stray", "step_reward")}
    changed = replace(world, **{k: v for k, v in given.items() if v is not None})
    if changed.slip + changed.stray > 1:
        raise InputError(f"slip + stray is {changed.slip + changed.stray:g}; it must be 1 or less")
    changed = _resized(changed, request.height or world.height, request.width or world.width)
    if request.wind is None:
        return changed
    if len(request.wind) != changed.width:
        raise InputError(
            f"wind has {len(request.wind)} numbers; it must have {changed.width}, one per column"
        )
    return replace(changed, wind=tuple(request.wind) if any(request.wind) else ())


def _resized(world: World, height: int, width: int) -> World:
    """Add floor below and on the right, or remove rows and columns there."""
    if (height, width) == (world.height, world.width):
        return world
    sketch = Sketch(world)
    floor = sketch.symbol_for(Cell())
    sketch.rows = [(row + [floor] * width)[:width] for row in sketch.rows]
    sketch.rows = (sketch.rows + [[floor] * width] * height)[:height]
    wind = (world.wind + (0,) * width)[:width] if world.wind else ()
    return replace(sketch.finished(), wind=wind if any(wind) else ())


def _check(world: World) -> None:
    """Raise InputError unless the world is a valid map that can be read from its text."""
    symbols = {symbol for row in world.rows for symbol in row}
    if not any(world.legend[symbol].start for symbol in symbols):
        raise InputError("the world needs a start: draw another one first")
    for symbol in sorted(symbols):
        to = world.legend[symbol].to
        if to and not world.places(symbol=to):
            place = _first(world, symbol)
            raise InputError(
                f"the portal in {cell_name(place)} leads to a cell that this change replaces or "
                "removes; remove the portal first"
            )
    try:
        parse_world(world_text(world), "map")
    except InputError as error:
        _, _, message = str(error).partition(": ")  # without the place in a map file
        raise InputError(message) from None


def _leads_to(world: World, symbol: str) -> bool:
    """Whether a drawn portal leads to a symbol."""
    return any(world.legend[drawn].to == symbol for row in world.rows for drawn in row)


def _first(world: World, symbol: str) -> Place:
    """Return the first place of a drawn symbol."""
    return next((r, row.index(symbol)) for r, row in enumerate(world.rows) if symbol in row)
