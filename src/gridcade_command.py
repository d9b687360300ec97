"""The entry point of the command `gridcade`.

It is outside the package, which takes a third of a second to load: Ctrl-C in this time ends the
program without a traceback. The handler is set when this module is imported, because the script
that pip makes of it compiles a regular expression before it calls `main`. Before that, Python and
that script are loading, for about 20 ms, and Ctrl-C is Python's.
"""

import os
import signal
import sys

INTERRUPTED = 130  # exit code of an interrupted program in shells


def main() -> None:
    """Run the command line."""
    try:
        from gridcade.cli.main import main as run

        run()
    except KeyboardInterrupt:  # just before or after a command, which catches its own
        _end()
    finally:
        for number in (signal.SIGINT, signal.SIGTERM):  # Python is ending, without our handling
            if callable(signal.getsignal(number)):
                signal.signal(number, signal.SIG_DFL)


def _end(number: int = signal.SIGINT, frame: object = None) -> None:
    """End the program at once; nothing has begun, or all is done."""
    del number, frame
    os.write(2, b"gridcade: interrupted\n")
    os._exit(INTERRUPTED)


# A job in the background ignores Ctrl-C, and processes that multiprocessing spawns have their own
# way with it; they import this module too.
if (
    signal.getsignal(signal.SIGINT) is signal.default_int_handler
    and "multiprocessing" not in sys.modules
):
    signal.signal(signal.SIGINT, _end)

if __name__ == "__main__":
    main()
