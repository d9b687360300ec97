"""Results that print as text and tables, on the command line and at Python's prompt."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from io import StringIO
from typing import TypeAlias

from markupsafe import Markup
from rich.console import Console
from rich.table import Table
from rich.text import Text

from gridcade.notebook import box, parts_html

MAX_TABLE_WIDTH = 500  # characters; a wider table is cut

Part: TypeAlias = Text | Table | str


class Printed(ABC):
    """A result whose `str` and `repr` are the text that the command line prints."""

    @abstractmethod
    def parts(self) -> list[Part]:
        """Return the lines and tables to print, from top to bottom."""

    def __str__(self) -> str:
        """Return the text without colors, as wide as the terminal."""
        text = StringIO()
        console = Console(
            file=text, force_jupyter=False, highlight=False, markup=False, emoji=False
        )
        print_parts(console, self.parts(), wrap=True)
        return "\n".join(line.rstrip() for line in text.getvalue().splitlines())

    def __repr__(self) -> str:
        """Return the same text, for Python's prompt."""
        return str(self)

    def pictures(self) -> list[Markup]:
        """Return what a notebook shows below the lines and tables, as HTML."""
        return []

    def _repr_html_(self) -> str:
        """Return the result as HTML, for notebooks."""
        return box(parts_html(self.parts()), *self.pictures())


def print_parts(console: Console, parts: Sequence[Part], wrap: bool) -> None:
    """Print lines and tables; `wrap` breaks long lines at the console's width."""
    for part in parts:
        if isinstance(part, Table):
            _print_table(console, part)
            continue
        unwrapped = not wrap or (isinstance(part, Text) and bool(part.no_wrap))
        console.print(part, soft_wrap=unwrapped)


def _print_table(console: Console, table: Table) -> None:
    """Print a table, if necessary wider than the console: a cut number would be a wrong number."""
    widest = console.options.update(max_width=MAX_TABLE_WIDTH)
    width = max(console.width, console.measure(table, options=widest).maximum)
    wide = Console(
        file=console.file,
        width=width,
        force_terminal=console.is_terminal,
        force_jupyter=False,
        color_system=console.color_system,  # type: ignore[arg-type]  # its annotation is str
        no_color=console.no_color,
    )
    wide.print(table)


def unbroken(line: str) -> Text:
    """Make a line that is never wrapped, so that a path or a command in it can be copied."""
    return Text(line, no_wrap=True)


def number_table(first: str, *columns: str) -> Table:
    """Make an empty table: a column of names, and columns of numbers."""
    table = Table(box=None, pad_edge=False, padding=(0, 3, 0, 0), header_style="dim")
    table.add_column(first, min_width=20, no_wrap=True)
    for column in columns:
        table.add_column(column, justify="right", min_width=10, no_wrap=True)
    return table
