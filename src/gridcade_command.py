"""The entry point of the command `gridcade`: Ctrl-C is one line also while modules are imported.

This module lies outside the package, because importing the package takes most of that time.
"""

import sys

INTERRUPTED = 130  # exit code of an interrupted program in shells


def main() -> None:
    """Import the command line, and run it."""
    try:
        from gridcade.cli import main as command_line
    except KeyboardInterrupt:
        print("gridcade: interrupted", file=sys.stderr)
        sys.exit(INTERRUPTED)
    command_line.main()
