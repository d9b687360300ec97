"""Characters of a map that cannot be seen, or look like others, are named."""

import pytest

from gridcade.envs.characters import make_visible
from gridcade.envs.maps import parse_world
from gridcade.errors import InputError


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("S.\u00a0G", "column 3: U+00A0 NO-BREAK SPACE is not in the legend; did you mean ' '?"),
        ("S.\u3000G", "U+3000 IDEOGRAPHIC SPACE is not in the legend; did you mean ' '?"),
        ("S.\u200bG", "U+200B ZERO WIDTH SPACE, which cannot be seen, .*; remove it"),
        ("S.\ufeffG", "U+FEFF ZERO WIDTH NO-BREAK SPACE, which cannot be seen"),
        ("S.\u2028G", "U+2028 LINE SEPARATOR, which cannot be seen"),
        ("S.\x0cG", "U+000C CONTROL CHARACTER, which cannot be seen"),
        ("S.\u0301G", "U+0301 COMBINING ACUTE ACCENT, which cannot be seen"),
        ("S.\u2800G", "U+2800 BRAILLE PATTERN BLANK, which cannot be seen"),
        ("S.\uff03G", "U+FF03 FULLWIDTH NUMBER SIGN is not in the legend; did you mean '#'?"),
        ("\u0405..G", "'\u0405' is not in the legend .*U+0405 CYRILLIC CAPITAL LETTER DZE"),
        ("S.\u00b7G", "'\u00b7' is not in the legend .* \\(\u00b7 is U+00B7 MIDDLE DOT\\)"),
        ("slip: \u22120.1\nmap:\nS.G", "'\u22120.1' is not a number .*\u2212 is U+2212 MINUS SIGN"),
        ("sl\u200bip: 0.1\nmap:\nS.G", "unknown setting 'sl<U+200B ZERO WIDTH SPACE>ip'; did you"),
        ("sl\u3164ip: 0.1\nmap:\nS.G", "unknown setting 'sl<U+3164 HANGUL FILLER>ip'"),
        ("sl\x07ip: 0.1\nmap:\nS.G", "unknown setting 'sl<U+0007 CONTROL CHARACTER>ip'"),
        ("legend:\n  G:\u00a0ennd\nmap:\nS.G", "unknown cell property 'ennd'"),
    ],
)
def test_the_character_at_fault_is_named(text: str, message: str) -> None:
    with pytest.raises(InputError, match=message.replace("U+", r"U\+").replace("?", r"\?")):
        parse_world(text)


def test_a_no_break_space_counts_as_space_where_only_words_matter() -> None:
    world = parse_world("step\u00a0reward:\u00a0-1\nlegend:\n\u00a0\u00a0C: start\u00a0\nmap:\nC.G")
    assert (world.step_reward, world.legend["C"].start) == (-1.0, True)


def test_messages_without_such_characters_are_unchanged() -> None:
    for message in ("'x' is not in the legend", "title: Größe мир 世界"):
        assert make_visible(message) == message
