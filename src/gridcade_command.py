"""The entry point of the command `gridcade`.

It is outside the package, which takes a third of a second to load: Ctrl-C in this time ends the
program without a traceback.
"""

import os
import signal
from types import FrameType

INTERRUPTED = 130  # exit code of an interrupted program in shells


def main() -> None:
    """Run the command line."""
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, _end)
    from gridcade.cli.main import main as run

    run()


def _end(number: int, frame: FrameType | None) -> None:
    """End the program at once; nothing has begun."""
    del number, frame
    os.write(2, b"gridcade: interrupted\n")
    os._exit(INTERRUPTED)


if __name__ == "__main__":
    main()
