"""Figures: their bytes, their colours, and what a name may hold."""

import re
from importlib import resources
from itertools import combinations
from xml.etree import ElementTree

import matplotlib
import numpy as np
import pytest
from matplotlib.figure import Figure
from numpy.typing import NDArray

from gridcade.evaluation.intervals import Estimate
from gridcade.report.figures import (
    LONGEST_LABEL,
    PALETTE,
    Look,
    Picture,
    draw,
    forest,
    look,
    profiles,
    strip,
)
from gridcade.report.findings import Aggregate
from gridcade.study.seed_statistics import Band

Floats = NDArray[np.float64]

# DejaVu, which matplotlib brings, has no Chinese: a PNG shows boxes
pytestmark = pytest.mark.filterwarnings("ignore:Glyph")

STRANGE = ["<b>&amp;\"'</b>", "_hidden", "$x^2", "Ærø 学习", "-->", "a" * 80, "#0067a5"]


def stripes(name: str = "scores") -> Picture:
    rows = [(n, (0.1, 0.2, 0.3), Estimate(0.2, 0.1, 0.3, "t")) for n in STRANGE]
    looks = {n: look(i) for i, n in enumerate(STRANGE)}
    return draw(
        name, "", 'of "A" & <B>', "", 3.0, lambda axes: strip(axes, rows, looks, "expected return")
    )


def test_a_strip_shows_whole_intervals() -> None:
    """Those of fixed policies too, which are one score each, beside lines that reach less far."""
    rows = [
        ("A", (22.1,), Estimate(22.1, 19.6, 24.6, "t")),
        ("B", (22.9,), Estimate(22.9, 20, 25, "t")),
    ]
    looks = {n: look(i) for i, n in enumerate("AB")}
    axes = Figure().subplots()
    strip(axes, rows, looks, "return", [(22.0, "random"), (22.5, "human")])
    low, high = axes.get_xlim()
    assert low < 19.6 < 25 < high
    sides = {text.get_text(): text.get_horizontalalignment() for text in axes.texts}
    assert sides == {"random": "right", "human": "left"}  # apart, however near the lines are


@pytest.fixture(scope="module")
def picture() -> Picture:
    return stripes()


def test_the_same_figure_has_the_same_bytes(picture: Picture) -> None:
    again = stripes()
    assert (picture.svg, picture.png) == (again.svg, again.png)


def test_nothing_global_is_left_changed(picture: Picture) -> None:
    before = dict(matplotlib.rcParams)
    assert picture.svg == stripes().svg
    assert dict(matplotlib.rcParams) == before


def test_names_may_hold_anything(picture: Picture) -> None:
    for text in (picture.svg, picture.inline):
        words = [element.text for element in ElementTree.fromstring(text).iter() if element.text]
        for name in STRANGE:
            assert any(name[: LONGEST_LABEL - 1] in word for word in words), name


def test_an_inline_figure_loads_nothing_and_has_its_own_ids(picture: Picture) -> None:
    root = ElementTree.fromstring(picture.inline)
    assert "http" not in picture.inline
    assert root.attrib["aria-label"] == 'of "A" & <B>'
    ids = [e.attrib["id"] for e in root.iter() if "id" in e.attrib]
    assert len(ids) == len(set(ids))
    assert all(i.startswith("scores-") for i in ids)
    for element in root.iter():
        target = element.attrib.get("href", "#scores-")
        assert target.startswith("#scores-")
        assert target == "#scores-" or target[1:] in ids
        assert "#" not in element.attrib.get("style", "").replace("url(#scores-", "")


def test_a_legend_leaves_no_name_out() -> None:
    band = Band(np.arange(3.0), np.array([1, 0.5, 0]), np.zeros(3), np.ones(3))
    made = Aggregate(("E",), "score", "", {}, dict.fromkeys(STRANGE, band))
    looks = {n: look(i) for i, n in enumerate(STRANGE)}
    drawn = draw("p", "", "", "", 3.0, lambda axes: profiles(axes, made, looks))
    words = "".join(ElementTree.fromstring(drawn.svg).itertext())
    assert all(name[: LONGEST_LABEL - 1] in words for name in STRANGE)


def test_intervals_without_end_are_left_out() -> None:
    rows = [("A − B", Estimate(1.0, -np.inf, np.inf, "welch"), False)]
    drawn = draw("d", "", "", "", 1.5, lambda axes: forest(axes, rows, "difference"))
    assert "nan" not in drawn.svg
    assert "inf" not in drawn.svg.replace("information", "")


def test_each_contender_has_a_look_of_its_own() -> None:
    looks = [look(place) for place in range(4 * len(PALETTE))]
    assert len({(it.colour, str(it.dashes)) for it in looks}) == len(looks)
    assert look(0) == Look(PALETTE[0], "o", "-")


# Viénot, Brettel & Mollon (1999): what those without red, or green, receptors see, linear RGB.
LACKING = {
    "none": np.eye(3),
    "red": np.array([[0.11238, 0.88762, 0], [0.11238, 0.88762, 0], [0.00401, -0.00401, 1]]),
    "green": np.array([[0.29275, 0.70725, 0], [0.29275, 0.70725, 0], [-0.02234, 0.02234, 1]]),
}


def lab(colour: str, lacking: str) -> Floats:
    """CIE L*a*b* of a colour, as it is seen."""
    rgb = np.array([int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)])
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    seen = np.clip(LACKING[lacking] @ linear, 0, 1)
    xyz = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])
    t = xyz @ seen / (xyz @ np.ones(3))
    f = np.where(t > (6 / 29) ** 3, np.cbrt(t), t * (29 / 6) ** 2 / 3 + 4 / 29)
    return np.array([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])


def schemes() -> list[list[str]]:
    """The contenders' colours in the page: light, dark."""
    css = resources.files("gridcade.report").joinpath("page.css").read_text()
    colours = re.findall(r"--contender-\d: (#[0-9a-f]{6})", css)
    return [colours[: len(PALETTE)], colours[len(PALETTE) :]]


def test_the_page_has_the_figures_colours() -> None:
    light, dark = schemes()
    assert tuple(light) == PALETTE
    assert len(dark) == len(PALETTE)


@pytest.mark.parametrize("scheme", [0, 1])
@pytest.mark.parametrize("lacking", LACKING)
def test_colours_are_apart_for_those_who_see_fewer(lacking: str, scheme: int) -> None:
    labs = [lab(colour, lacking) for colour in schemes()[scheme]]

    def apart(some: list[Floats]) -> float:
        return min(float(np.linalg.norm(a - b)) for a, b in combinations(some, 2))

    assert apart(labs) > 15  # 2 or 3 can just be told side by side
    assert apart(labs[:4]) > 25


@pytest.mark.parametrize(("scheme", "paper"), [(0, "#ffffff"), (1, "#15181c")])
def test_colours_stand_out_from_the_page(scheme: int, paper: str) -> None:
    lightness = lab(paper, "none")[0]
    assert all(abs(lab(c, "none")[0] - lightness) > 30 for c in schemes()[scheme])
