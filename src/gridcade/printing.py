"""Results that print as text and tables, on the command line and at Python's prompt."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from io import StringIO
from typing import TypeAlias

from rich.console import Console
from rich.table import Table
from rich.text import Text

Part: TypeAlias = Text | Table | str


class Printed(ABC):
    """A result whose `str` and `repr` are the text that the command line prints."""

    @abstractmethod
    def parts(self) -> list[Part]:
        """The lines and tables to print, from top to bottom."""

    def __str__(self) -> str:
        """Return the text without colors, as wide as the terminal."""
        text = StringIO()
        console = Console(
            file=text, force_jupyter=False, highlight=False, markup=False, emoji=False
        )
        print_parts(console, self.parts())
        return "\n".join(line.rstrip() for line in text.getvalue().splitlines())

    def __repr__(self) -> str:
        """Return the same text, for Python's prompt."""
        return str(self)


def print_parts(console: Console, parts: Sequence[Part]) -> None:
    """Print lines and tables; lines wrap on a terminal and in `str`, but not in a file."""
    in_file = not console.is_terminal and not isinstance(console.file, StringIO)
    for part in parts:
        console.print(part, soft_wrap=in_file and not isinstance(part, Table))


def number_table(first: str, *columns: str) -> Table:
    """Make an empty table: a column of names, and columns of numbers."""
    table = Table(box=None, pad_edge=False, padding=(0, 3, 0, 0), header_style="dim")
    table.add_column(first, min_width=20)
    for column in columns:
        table.add_column(column, justify="right", min_width=10)
    return table
