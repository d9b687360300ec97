"""Map files: every setting and symbol is read; a mistake is reported with line and column."""

import re
from pathlib import Path
from textwrap import indent

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from gridcade.envs.gridworld import grid_model
from gridcade.envs.maps import (
    DEFAULT_LEGEND,
    MAPS,
    PROPERTIES,
    SETTINGS,
    Cell,
    World,
    load_world,
    parse_number,
    parse_world,
)
from gridcade.envs.tabular import Model
from gridcade.errors import InputError
from gridcade.exact.solver import solve
from gridcade.formatting import format_number

SHIPPED = sorted(MAPS.glob("*.txt"))

EVERYTHING = """\
; a comment, and an empty line

title: Everything
about: The first line
about: and the second.
step reward: -1/4
slip: 0.2
  stray :   1/10
wind: 0 1 2 0
time limit: 77

legend:
    ; a comment among the symbols
    A: start, reward 0.5
    B: end, reward -2
    C: reward 1/2, to A
    D: wall
    E: floor
map:

A.BC
DEG#
"""


def test_every_setting_and_symbol_is_read() -> None:
    world = parse_world(EVERYTHING)
    added = {
        "A": Cell(start=True, reward=0.5),
        "B": Cell(end=True, reward=-2.0),
        "C": Cell(reward=0.5, to="A"),
        "D": Cell(wall=True),
        "E": Cell(),
    }
    assert world == World(
        rows=("A.BC", "DEG#"),
        legend={**DEFAULT_LEGEND, **added},
        title="Everything",
        about="The first line and the second.",
        step_reward=-0.25,
        slip=0.2,
        stray=0.1,
        wind=(0, 1, 2, 0),
        time_limit=77,
        notes=("map, line 22, column 3: no start can reach the end 'G'",),  # for the wind
    )
    assert (world.height, world.width) == (2, 4)
    # The agent can occupy neither the walls nor the portal.
    assert world.places() == [(0, 0), (0, 1), (0, 2), (1, 1), (1, 2)]
    assert world.places(symbol="G") == [(1, 2)]
    assert world.cell(0, 3) == added["C"]
    assert all(world.cell(*place).wall for place in ((-1, 0), (0, -1), (2, 0), (0, 4)))


def test_a_drawing_without_settings_has_the_defaults() -> None:
    world = parse_world("S.\n.G\n", "maps/Some place.txt")
    expected = World(("S.", ".G"), title="Some place", time_limit=10 * 4)
    assert world == expected


def test_a_world_without_an_end_has_no_time_limit() -> None:
    assert parse_world("S..").time_limit is None
    assert parse_world("time limit: none\nmap:\nS.G").time_limit is None


@pytest.mark.parametrize(
    ("legend", "rows"),
    [
        ("", ("S.G", "..#")),
        ("legend:\n  #: floor\n  W: wall\n", ("S.G", "..W")),
        ("legend:\n  #: floor\n", ("S.G", ".. ")),
    ],
)
def test_short_rows_are_padded_with_wall_if_a_symbol_stands_for_it(
    legend: str, rows: tuple[str, ...]
) -> None:
    assert parse_world(f"{legend}map:\n\nS.G   \n..\n\n").rows == rows


PLAIN = """\
title: Two ways
step reward: -1
legend:
    n: end, reward 5
map:
nS.G
 ..
"""
SPELLINGS = {
    "the drawing is indented": PLAIN.replace("nS.G\n ..", "    nS.G\n     .."),
    "everything is indented": "\n" + indent(PLAIN, "        ") + "    ",
    "with tabs": indent(PLAIN.replace("    n:", "\tn:"), "\t"),
    "the legend is not indented": PLAIN.replace("    n:", "n:"),
    "the legend has no heading": PLAIN.replace("legend:\n", ""),
    "a setting follows the legend, as indented": PLAIN.replace("step reward: -1\n", "").replace(
        "map:", "    step reward: -1\nmap:"
    ),
    "capitals": PLAIN.replace("step reward", "Step Reward")
    .replace("legend", "LEGEND")
    .replace("map:", "Map:")
    .replace("end, reward", "End, Reward"),
    "headings without a colon": PLAIN.replace("legend:", "legend").replace("map:", "map"),
    "spaces before colons": PLAIN.replace(":", " :"),
    "line ends of Windows": PLAIN.replace("\n", "\r\n"),
    "comments in the drawing": PLAIN.replace("nS.G", "; the corridor\nnS.G\n  ; and below it"),
}


@pytest.mark.parametrize("text", SPELLINGS.values(), ids=SPELLINGS)
def test_other_spellings_give_the_same_world(text: str) -> None:
    assert text != PLAIN
    assert parse_world(text) == parse_world(PLAIN)
    assert parse_world(PLAIN).rows == ("nS.G", " ..#")
    assert parse_world(PLAIN).legend["n"] == Cell(end=True, reward=5.0)


def test_white_space_before_all_rows_is_no_part_of_the_drawing() -> None:
    assert parse_world("    S.G\n\n     ..\n").rows == ("S.G", "###", " ..")
    assert parse_world("; a comment\n S.G\n  ..\n").rows == ("S.G", " ..")
    assert parse_world("wind: 0 1 0\nmap:\n    S.G").wind == (0, 1, 0)


def test_notes_say_what_is_probably_a_mistake() -> None:
    def notes(text: str) -> tuple[str, ...]:
        return parse_world(text, "my.txt").notes

    assert notes("S.G\n###\nG.S") == notes("step reward: -1\nmap:\nS..") == ()
    [free] = notes("legend:\n  G: end\nmap:\nS.G")
    assert free.startswith("my.txt: no move pays a reward, so all policies are equally good")
    assert notes("S..") == (free,)
    limited = "my.txt, line 3, column 7: from this start no end can be reached, so its episodes "
    assert notes("    S.G\n    ###\n    .#S") == (f"{limited}end only at the time limit",)
    [endless] = notes("time limit: none\nmap:\nS.G\n###\n.#S")
    assert endless.startswith("my.txt, line 5, column 3: from this start no end can be reached")
    assert endless.endswith(", so its episodes never end")
    assert notes("legend:\n o: end, reward 1\nmap:\nSo\n##\n.G\n.G") == (
        "my.txt, line 6, column 2: no start can reach the end 'G'",
    )


def test_a_portal_can_lead_over_a_wall_to_an_end() -> None:
    assert parse_world("legend:\n  P: to G\n  Q: to x\n  x: floor\nmap:\nSP#G").notes == ()
    assert (
        parse_world("legend:\n  G: end, reward 1\n  Q: to x\n  x: floor\nmap:\nSQ#xG").notes == ()
    )


MISTAKES = [
    ("", 1, 1, "the drawing is empty"),
    ("title: x\nmap:\n\n  \n", 3, 1, "the drawing is empty"),
    ("slip: 1.5\nmap:\nS.G", 1, 7, "slip is 1.5; it must be a probability"),
    ("slip:1.5\nmap:\nS.G", 1, 6, "slip is 1.5; it must be a probability"),
    ("stray: -0.1\nmap:\nS.G", 1, 8, "stray is -0.1; it must be a probability"),
    ("; one\n\n  slip :  x \nmap:\nS.G", 3, 11, "'x' is not a number such as 0.5 or 1/3"),
    ("slip:\nmap:\nS.G", 1, 6, "'' is not a number"),
    ("step reward: inf\nmap:\nS.G", 1, 14, "'inf' is not a number"),
    ("step reward: 1/0\nmap:\nS.G", 1, 14, "'1/0' is not a number"),
    ("step reward: 1e999999999\nmap:\nS.G", 1, 14, "is not a number"),
    ("slip: 0.6\nstray: 0.5\nmap:\nS.G", 2, 8, "slip + stray is 1.1; it must be 1 or less"),
    ("sllip: 0.1\nmap:\nS.G", 1, 1, "unknown setting 'sllip'; did you mean slip?"),
    ("title: x\n  qqq: 1\nmap:\nS.G", 2, 3, "known: about, slip, step reward, stray,"),
    ("title: x\n nonsense\nmap:\nS.G", 2, 2, "expected 'key: value', found 'nonsense'"),
    ("legend: G: end\nmap:\nS.G", 1, 9, "define each symbol on an indented line"),
    ("legend:\n    GG: end\nmap:\nS.G", 2, 5, "expected one symbol and a colon, such as 'G: end'"),
    ("  legend:\n  sllip: 0.1\n  map:\n  S.G", 2, 3, "'sllip'; did you mean slip?"),
    ("legend:\n    G end\nmap:\nS.G", 2, 5, "write 'G: end', with a colon"),
    ("legend:\n    G = end\nmap:\nS.G", 2, 5, "write 'G: end', with a colon"),
    ("slip = 0.1\nmap:\nS.G", 1, 1, "write 'slip: 0.1', with a colon"),
    ("Time limit 50\nmap:\nS.G", 1, 1, "write 'Time limit: 50', with a colon"),
    ("slip\nmap:\nS.G", 1, 1, "expected 'key: value', found 'slip'"),
    ("slip: 0.1\n\nS.G", 1, 1, "below this line, write 'map:' on a line of its own"),
    ("slip: 0.1\n map: S.G\n", 2, 2, "write 'map:' on a line of its own, and below that"),
    ("map = \nS.G\n", 1, 1, "write 'map:' on a line of its own, and below that the drawing"),
    ("map:\nS.G\n\n  slip: 0.1", 4, 3, "'slip: 0.1' is not a row of the drawing; write it above"),
    ("map:\nS.P\nlegend:\n  P: end", 3, 1, "'legend:' is not a row of the drawing; write it"),
    ("map:\nS.G\nlegend:\n  P: end", 3, 1, "'legend:' is not a row of the drawing; write it"),
    ("legend:\n  G: end, rewrd 3\nmap:\nS.G", 2, 11, "did you mean reward NUMBER?"),
    ("legend:\n  G:  reward x\nmap:\nS.G", 2, 7, "'x' is not a number"),
    ("legend:\n  G: end,\nmap:\nS.G", 2, 10, "unknown cell property ''"),
    ("legend:\n  G: end reward 9\nmap:\nS.G", 2, 6, "with commas: 'end, reward 9'"),
    ("legend:\n  G: reward\nmap:\nS.G", 2, 6, "'reward'; did you mean reward NUMBER?"),
    ("legend:\n  P: to SS\nmap:\nS.G", 2, 6, "unknown cell property 'to SS'"),
    ("legend:\n  W: wall, reward 1\nmap:\nS.G", 2, 3, "'W' is a wall, so it cannot"),
    ("legend:\n  P: start, to S\nmap:\nS.G", 2, 3, "'P' is a portal, so it cannot"),
    ("legend:\n  P: end, to S\nmap:\nS.G", 2, 3, "'P' is a portal, so it cannot"),
    ("legend:\n  P: end, start\nmap:\nS.G", 2, 3, "'P' cannot be both a start and an end"),
    ("legend:\n  P: to Q\nmap:\nS.P", 2, 3, "'P' leads to 'Q', but the drawing has no such cell"),
    ("legend:\n  P: to #\nmap:\nSP#", 2, 3, "'P' leads to '#', but the drawing has no such cell"),
    ("legend:\n  P: to P\nmap:\nSP", 2, 3, "'P' leads to 'P', but the drawing has no such cell"),
    ("S.G\n.?.", 2, 2, "'?' is not in the legend (# . G S and space); write its"),
    ("# my map\nS.G", 1, 3, "'m' is not in the legend; a comment begins with ';'"),
    ("# my map\nmap:\nS.G", 1, 1, "a comment begins with ';'"),
    ("map:\n#S.x", 2, 4, "'x' is not in the legend (# . G S and space)"),
    ("// my map\nmap:\nS.G", 1, 1, "a comment begins with ';'"),
    ("map:\nS.G\nmap:\nS.G", 3, 1, "a map file has only one drawing"),
    ("legend:\n  E: goal\nmap:\nS.E", 2, 6, "unknown cell property 'goal'; did you mean end?"),
    ("legend:\n  E: portal to S\nmap:\nS.E", 2, 6, "did you mean to SYMBOL?"),
    ("S.g", 1, 3, "'g' is not in the legend; did you mean 'G'?"),
    ("map:\n    S.x\n    ..G\n", 2, 7, "'x' is not in the legend"),
    ("map:\n\tS.G\n    ...\n", 2, 1, "a tab has no meaning; indent all rows alike"),
    ("title: x\nmap:\n\n..\n.S x", 5, 4, "'x' is not in the legend"),
    ("title: x\nmap:\n..G", 3, 1, "the drawing has no start"),
    ("wind: 0 1\nmap:\nS.G", 1, 7, "wind has 2 numbers; it must have 3, one for each column"),
    ("wind: 0 x 1\nmap:\nS.G", 1, 7, "wind: 'x' is not an integer, 0 or greater"),
    ("wind: 0, 1, 1\nmap:\nS.G", 1, 7, "separate the numbers with spaces"),
    ("wind: 0 -1 1\nmap:\nS.G", 1, 7, "wind: '-1' is not an integer, 0 or greater"),
    ("wind: 0 ² 1\nmap:\nS.G", 1, 7, "wind: '²' is not an integer, 0 or greater"),
    ("time limit: 0\nmap:\nS.G", 1, 13, "time limit is 0; it must be none, or an integer, 1 or"),
    ("time limit: 2.5\nmap:\nS.G", 1, 13, "time limit is 2.5; it must be none, or an integer"),
    (f"time limit: {'9' * 5000}\nmap:\nS.G", 1, 13, "it must be none, or an integer, 1 or greater"),
    ("time limit: 9\nmap:\nS..", 1, 13, "this is a continuing task, which has no time limit"),
    ("map:\n  S#G", 2, 3, "from this start no end can be reached; open a way to an end"),
    ("wind: 0 0 1\nmap:\n...\nS..\n##G", 4, 1, "from this start no end can be reached"),
    ("slip: 0.1\nslip: 0.2\nmap:\nS.G", 2, 1, "'slip' is already set in line 1"),
    ("legend:\n    A: end\n    A: wall\nmap:\nSA", 3, 5, "'A' is already defined in line 2"),
]


@pytest.mark.parametrize(("text", "line", "column", "message"), MISTAKES)
def test_a_mistake_is_reported_with_line_and_column(
    text: str, line: int, column: int, message: str
) -> None:
    with pytest.raises(InputError) as caught:
        parse_world(text, "my.txt")
    assert str(caught.value).startswith(f"my.txt, line {line}, column {column}: ")
    assert message in str(caught.value)


PAGE = (Path(__file__).parents[2] / "docs" / "worlds.md").read_text(encoding="utf-8")
EXAMPLES = PAGE.split("```text\n")[1:]  # each begins with a map


@pytest.mark.parametrize("example", EXAMPLES, ids=range(len(EXAMPLES)))
def test_the_page_on_worlds_states_the_values_of_its_examples(example: str) -> None:
    drawn, _, text = example.partition("```")
    world = parse_world(drawn)
    assert world.notes == ()
    solution = solve(grid_model(world))
    value = format_number(solution.value)
    criterion = {"return": "return", "average-reward": "average reward"}[solution.criterion]
    stated = f"\n    [a-z]+\\.txt: the optimal expected {criterion} is {re.escape(value)}\n"
    assert len(re.findall(stated, text)) == 1


def test_the_program_on_the_page_on_worlds_prints_what_it_says(
    capsys: pytest.CaptureFixture[str],
) -> None:
    [program] = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    exec(program, {})
    assert capsys.readouterr().out.strip() == program.rstrip().rpartition("# ")[2]


@pytest.mark.parametrize("word", [*SETTINGS, *PROPERTIES])
def test_the_page_on_worlds_has_every_setting_and_property(word: str) -> None:
    assert f"`{word}`" in PAGE


FRAGMENTS = """
title:|about: x|slip: 1/2|stray: 0.5|slip: 0.7|step reward: -1|wind: 0 1|wind: 0 1 2|wind: 9
time limit: none|time limit: 3|legend:|    P: to S|    P: to G|    Q: end, reward 1|    ;
    #: floor|    .: wall|map:|S.G|SPQ|S.|#G|...|  ;x|P|S"""
LINES = st.sampled_from(re.split(r"[|\n]", FRAGMENTS))


@st.composite
def damaged_maps(draw: st.DrawFn) -> str:
    """A shipped map with some of its characters replaced, cut or doubled."""
    text = draw(st.sampled_from(SHIPPED)).read_text(encoding="utf-8")
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, len(text)))
        cut = draw(st.integers(0, 3))
        text = text[:at] + draw(st.text(max_size=3)) + text[at + cut :]
    return text


def can_end(model: Model) -> NDArray[np.bool_]:
    """Whether each state can reach an end, by the model's outcomes.  [states]."""
    ending = np.zeros(model.num_states, dtype=bool)
    states = model.rows // model.num_actions
    while True:
        more = ending.copy()
        more[states[model.terminated | ending[model.next_states]]] = True
        if (more == ending).all():
            return ending
        ending = more


def check_notes(world: World, model: Model) -> None:
    """Notes on starts that reach no end agree with the model's possible outcomes."""
    if not model.continuing:
        from_starts = can_end(model)[model.start > 0]
        assert from_starts.any()
        assert any("from this start" in note for note in world.notes) == (not from_starts.all())


@settings(max_examples=100)
@given(
    st.lists(st.text("S.#GPQo", min_size=3, max_size=3), min_size=2, max_size=4),
    st.lists(st.integers(0, 2), min_size=3, max_size=3),
    st.sampled_from(["slip: 1", "stray: 1", "slip: 1/2"]),
)
def test_only_worlds_whose_ends_no_start_can_reach_are_refused(
    rows: list[str], wind: list[int], slip: str
) -> None:
    legend = "legend:\n P: to o\n Q: to G\n o: floor"
    text = f"wind: {' '.join(map(str, wind))}\n{slip}\n{legend}\nmap:\n{chr(10).join(rows)}"
    try:
        world = parse_world(text)
    except InputError as error:
        if "no end can be reached" in str(error):
            cells = {**DEFAULT_LEGEND, "P": Cell(to="o"), "Q": Cell(to="G"), "o": Cell()}
            model = grid_model(World(tuple(rows), cells, wind=tuple(wind)))
            assert not can_end(model)[model.start > 0].any()
        return
    check_notes(world, grid_model(world))


@settings(max_examples=60)
@given(st.one_of(st.text(), st.lists(LINES).map("\n".join), damaged_maps()))
def test_any_text_is_a_valid_world_or_an_input_error(text: str) -> None:
    try:
        world = parse_world(text)
    except InputError as error:
        assert re.match(r"map, line \d+, column \d+: .", str(error))  # noqa: PT017
        return
    model = grid_model(world)  # raises an error unless each row of probabilities sums to 1
    check_notes(world, model)
    assert len({len(row) for row in world.rows}) == 1
    assert model.continuing == (not any(world.cell(*p).end for p in world.places()))
    assert world.time_limit is None or not model.continuing


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_shipped_worlds_load_by_name_and_by_path(path: Path) -> None:
    world = load_world(path.stem)
    assert world == load_world(path) == load_world(str(path))
    assert world.title
    assert world.about


def test_eight_worlds_ship() -> None:
    assert {path.stem for path in SHIPPED} == {
        "CliffWalk",
        "DynaMaze",
        "FourRooms",
        "Grid4x4",
        "NearAndFar",
        "RussellNorvig4x3",
        "SlipperyLake",
        "WindyGrid",
    }


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_a_formatted_number_is_parsed_exactly(value: float) -> None:
    assert parse_number(repr(value)) == value


@given(st.integers(-(10**6), 10**6), st.integers(1, 10**6))
def test_a_fraction_is_parsed_as_its_quotient(top: int, bottom: int) -> None:
    assert parse_number(f"{top}/{bottom}") == top / bottom


def test_an_unreadable_file_is_an_input_error_with_its_name(tmp_path: Path) -> None:
    binary = tmp_path / "binary.txt"
    binary.write_bytes(b"\xff\xfe\x00S")
    with pytest.raises(InputError, match=r"cannot read the map .*binary\.txt: it is in UTF-16"):
        load_world(binary)
    with pytest.raises(InputError, match=r"cannot read the map nowhere\.txt: No such file"):
        load_world("nowhere.txt")
    with pytest.raises(InputError, match=r"unknown world 'FourRoms'; did you mean FourRooms\?"):
        load_world("FourRoms")
    with pytest.raises(InputError, match="unknown world"):
        load_world(tmp_path)


@pytest.mark.parametrize("name", ["x" * 5000, "x" * 5000 + ".txt", "\0", "\0.txt", ""])
def test_an_impossible_file_name_is_an_input_error(name: str) -> None:
    with pytest.raises(InputError):
        load_world(name)


def test_a_byte_order_mark_is_ignored(tmp_path: Path) -> None:
    file = tmp_path / "world.txt"
    file.write_bytes(b"\xef\xbb\xbfS.G")
    assert load_world(file).rows == ("S.G",)
