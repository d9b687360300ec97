"""Characters that cannot be seen, or that look like others, named in messages."""

import unicodedata

BLANK_LETTERS = "\u115f\u1160\u2800\u3164\uffa0"  # that Unicode counts among the visible ones


def is_invisible(character: str) -> bool:
    """Whether a character is blank or of no width, other than a space."""
    is_mark = unicodedata.category(character) in ("Mn", "Me")
    is_blank = not character.isprintable() or character in BLANK_LETTERS
    return is_blank or is_mark


def character_name(character: str) -> str:
    """Name a character as Unicode does: `U+00A0 NO-BREAK SPACE`."""
    return f"U+{ord(character):04X} {unicodedata.name(character, 'CONTROL CHARACTER')}"


def make_visible(message: str) -> str:
    """Name the characters of a message that cannot be seen, or are signs like those of ASCII."""
    signs = {c: character_name(c) for c in message if not (c.isascii() or c.isalnum())}
    shown = "".join(f"<{signs[c]}>" if c in signs and is_invisible(c) else c for c in message)
    named = [f"{sign} is {name}" for sign, name in signs.items() if not is_invisible(sign)]
    return f"{shown} ({', '.join(named)})" if named else shown
