"""Names characters in messages that are invisible or look like other characters."""

import unicodedata

BLANK_LETTERS = "\u115f\u1160\u2800\u3164\uffa0"  # visible according to Unicode


def is_invisible(character: str) -> bool:
    """Whether a character is blank or has no width; a space is not invisible."""
    is_mark = unicodedata.category(character) in ("Mn", "Me")
    is_blank = not character.isprintable() or character in BLANK_LETTERS
    return is_blank or is_mark


def character_name(character: str) -> str:
    """Name a character as Unicode does: `U+00A0 NO-BREAK SPACE`."""
    return f"U+{ord(character):04X} {unicodedata.name(character, 'CONTROL CHARACTER')}"


def make_visible(message: str) -> str:
    """Name the invisible characters in a message, and the signs outside ASCII."""
    unclear = (c for c in message if is_invisible(c) or not (c.isascii() or c.isalnum()))
    signs = {c: character_name(c) for c in unclear}
    shown = "".join(f"<{signs[c]}>" if c in signs and is_invisible(c) else c for c in message)
    named = [f"{sign} is {name}" for sign, name in signs.items() if not is_invisible(sign)]
    return f"{shown} ({', '.join(named)})" if named else shown
