"""Results as HTML: nothing in a text becomes markup, and a chart shows its numbers."""

import base64
import re
import shutil
from io import BytesIO
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from PIL import Image
from rich.text import Text

import gridcade
from gridcade.errors import InputError
from gridcade.notebook import PLOT, Curve, chart, parts_html, picture
from gridcade.printing import number_table, unbroken
from gridcade.training.run_folder import Run
from gridcade.viewing.player import Player

EVIL = "<img src=x onerror=alert(1)>&\"'"
SAFE = "&lt;img src=x onerror=alert(1)&gt;&amp;&#34;&#39;"


def test_texts_are_escaped_wherever_they_stand() -> None:
    table = number_table(EVIL, EVIL)
    table.add_row(EVIL, Text(EVIL, "bold"))
    bold = Text.assemble((EVIL, "bold"), EVIL)
    html = parts_html([EVIL, bold, unbroken(EVIL), table])
    assert html.count(SAFE) == 8
    assert EVIL not in html
    assert html.count(f"<b>{SAFE}</b>") == 2
    drawn = chart([Curve(EVIL, "#000000", [0, 1], [0, 1])], EVIL, EVIL)
    assert "<img" not in drawn
    assert EVIL not in picture(np.zeros((1, 1, 3), np.uint8), EVIL)
    assert EVIL not in Player(EVIL, (EVIL,), b"", "video/mp4", (10, 10))._repr_html_()


def test_a_run_with_the_name_of_a_script_is_shown_as_its_name(tmp_path: Path) -> None:
    world = tmp_path / "<b>world.txt"
    world.write_text("map:\nS.G")
    run = gridcade.train("q-learning", str(world), steps=1000, out=tmp_path / "<script>")
    for result in (run, gridcade.evaluate(run, episodes=10), gridcade.solve(str(world))):
        html = result._repr_html_()
        assert "<script>" not in html
        assert "<b>world" not in html
    shutil.rmtree(run.path / "checkpoints")
    assert "has no checkpoint" in Run(run.path)._repr_html_()


def test_a_chart_draws_its_points_in_their_places() -> None:
    nan = float("nan")
    curve = Curve("a", "#123456", [0, 50, 100], [0, nan, 10], [nan, nan, 8], [nan, nan, 10])
    svg = ElementTree.fromstring(chart([curve], "steps", "return"))
    line = svg.find("polyline")
    assert line is not None
    points = [tuple(map(float, p.split(","))) for p in line.attrib["points"].split()]
    left, top, right, bottom = PLOT
    assert points == [(left, bottom), (right, top)]
    texts = [text.text for text in svg.iter("text") if text.text]
    assert {"0", "10", "100", "return", "steps"} <= set(texts)


def test_a_solution_shows_its_world_and_the_range_of_its_values() -> None:
    solution = gridcade.solve("CliffWalk")
    html = solution._repr_html_()
    [png] = re.findall(r"data:image/png;base64,([^\"]+)", html)
    with Image.open(BytesIO(base64.b64decode(png))) as image:
        assert image.size == (12 * 44, 4 * 44)
    assert "the optimal expected return is <b>-13</b>" in html
    assert "value -14" in html
    assert "reward -99, leads to the start" in html
    assert "longer arrow" in html
    assert "longer arrow" not in gridcade.solve("GamblersProblem")._repr_html_()  # stakes
    listed = gridcade.solve("FrozenLake-v1")._repr_html_()
    assert listed.count("state ") == 16
    assert "<img" not in listed


@pytest.mark.parametrize(("installed", "kind"), [(True, "video/mp4"), (False, "image/webp")])
def test_show_records_whole_episodes(
    installed: bool, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if installed:
        pytest.importorskip("av")
    monkeypatch.setattr("gridcade.viewing.player.find_spec", lambda _: installed or None)
    player = gridcade.show("optimal", "CliffWalk", episodes=2)
    assert player.scores == tuple(
        f"episode {n}: return -13 in 13 steps, terminated" for n in (1, 2)
    )
    assert str(player).splitlines()[0] == "optimal on CliffWalk"
    assert len(gridcade.show("optimal", "CliffWalk", episodes=None, seed=None).scores) == 1
    assert player.kind == kind
    html = player._repr_html_()
    assert ("<video controls" in html) == installed
    assert ("<script>" in html) == (not installed)
    assert f"data:{kind};base64,{base64.b64encode(player.video).decode()}" in html
    if installed:
        import av

        with av.open(BytesIO(player.video), "r") as film:
            height, width = player.size
            stream = film.streams.video[0]
            assert (stream.width, stream.height) == (width, height)
            assert stream.frames >= 2 * 14
    with pytest.raises(InputError, match="unknown option 'episode' of show; did you mean episodes"):
        gridcade.show("optimal", "CliffWalk", episode=2)  # type: ignore[call-arg]  # a wrong name on purpose
    with pytest.raises(InputError, match="episodes is 0"):
        gridcade.show("optimal", "CliffWalk", episodes=0)
