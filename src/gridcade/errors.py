"""What a person got wrong, said in one line: what, where, and the nearest right thing."""

from collections.abc import Iterable
from difflib import get_close_matches


class InputError(ValueError):
    """Bad input. The command line prints the message on stderr and exits with code 2."""


class WriteError(InputError):
    """Something could not be written, as on a full disk: another time it may be."""


def unknown(kind: str, name: str, known: Iterable[str]) -> InputError:
    """The error for a name that is not known, with the nearest known ones."""
    names = sorted(known)
    lower = {n.lower(): n for n in names}
    close = [lower[n] for n in get_close_matches(name.lower(), lower, n=1, cutoff=0.5)]
    hint = f"did you mean {close[0]}?" if close else f"known: {', '.join(names)}"
    return InputError(f"unknown {kind} '{name}'; {hint}")
