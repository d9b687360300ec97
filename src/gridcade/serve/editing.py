"""Changes of a drawn world."""

from dataclasses import replace

from gridcade.envs.maps import World
from gridcade.errors import InputError, unknown
from gridcade.serve.messages import Edit, Settings


def draw(world: World, request: Edit) -> World:
    """Draw symbols into the map.

    Raises:
        InputError: a cell or symbol does not exist.
    """
    rows = [list(row) for row in world.rows]
    for row, column, symbol in request.cells:
        if not (0 <= row < world.height and 0 <= column < world.width):
            raise InputError(f"row {row}, column {column} lies outside the world")
        if symbol not in world.legend:
            raise unknown("symbol", symbol, world.legend)
        rows[row][column] = symbol
    return replace(world, rows=tuple("".join(row) for row in rows))


def with_settings(world: World, request: Settings) -> World:
    """Change slip, stray or the step reward.

    Raises:
        InputError: the probabilities add up to more than 1.
    """
    given = {name: getattr(request, name) for name in ("slip", "stray", "step_reward")}
    changed = replace(world, **{k: v for k, v in given.items() if v is not None})
    if changed.slip + changed.stray > 1:
        raise InputError(f"slip + stray is {changed.slip + changed.stray:g}; it must be 1 or less")
    return changed


def check(world: World) -> None:
    """Raise InputError unless the world has a start, and each portal its target."""
    symbols = {symbol for row in world.rows for symbol in row}
    if not any(world.legend[symbol].start for symbol in symbols):
        raise InputError("the world needs a start: draw another one first")
    for symbol in symbols:
        to = world.legend[symbol].to
        if to and not world.places(symbol=to):
            raise InputError(f"'{symbol}' leads to '{to}', which would no longer be there")
