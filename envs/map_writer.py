"""Writes gridworlds as map files, which `gridcade.envs.maps` reads."""

from gridcade.envs.maps import DEFAULT_LEGEND, Cell, World


def world_text(world: World) -> str:
    """Write a world as a map file.

    `parse_world` reads an equal world, unless cells have a `color` or `state`, which map files
    cannot hold.
    """
    settings = {
        "title": world.title,
        "about": world.about,
        "step reward": repr(world.step_reward) if world.step_reward else "",
        "slip": repr(world.slip) if world.slip else "",
        "stray": repr(world.stray) if world.stray else "",
        "wind": " ".join(map(str, world.wind)),
        "time limit": str(world.time_limit) if world.time_limit is not None else "none",
    }
    lines = [f"{key}: {value}" for key, value in settings.items() if value]
    used = set("".join(world.rows))
    used |= {cell.to for symbol, cell in world.legend.items() if symbol in used and cell.to}
    legend = {symbol: world.legend[symbol] for symbol in sorted(used)}
    entries = [
        f"    {symbol}: {_properties(cell)}"
        for symbol, cell in legend.items()
        if DEFAULT_LEGEND.get(symbol) != cell
    ]
    if entries:
        lines += ["", "legend:", *entries]
    return "\n".join([*lines, "", "map:", *world.rows]) + "\n"


def _properties(cell: Cell) -> str:
    """Write the properties of a cell as in the legend of a map file."""
    properties = [name for name in ("wall", "start", "end") if getattr(cell, name)]
    properties += [f"reward {cell.reward!r}"] if cell.reward else []
    properties += [f"to {cell.to}"] if cell.to else []
    return ", ".join(properties) or "floor"
