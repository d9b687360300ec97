"""Figures: reproducible bytes, distinct colors, and any name of a contender."""

import re
from importlib import resources
from itertools import combinations
from xml.etree import ElementTree

import matplotlib
import matplotlib.figure
import numpy as np
import pytest
from numpy.typing import NDArray

from gridcade.evaluation.intervals import Estimate
from gridcade.report.analysis import Aggregate
from gridcade.report.drawing import (
    MAX_LABEL_LENGTH,
    PALETTE,
    Figure,
    PlotStyle,
    draw_figure,
    plot_forest,
    plot_profiles,
    plot_scores,
    plot_style,
)
from gridcade.study.seed_statistics import Band

Floats = NDArray[np.float64]

# DejaVu, matplotlib's own font, has no Chinese characters: a PNG shows boxes.
pytestmark = pytest.mark.filterwarnings("ignore:Glyph")

STRANGE = ["<b>&amp;\"'</b>", "_hidden", "$x^2", "Ærø 学习", "-->", "a" * 80, "#0067a5"]


def strange_figure() -> Figure:
    rows = [(n, (0.1, 0.2, 0.3), Estimate(0.2, 0.1, 0.3, "t")) for n in STRANGE]
    styles = {n: plot_style(i) for i, n in enumerate(STRANGE)}
    return draw_figure(
        "scores",
        "",
        'of "A" & <B>',
        "",
        3.0,
        lambda axes: plot_scores(axes, rows, styles, "expected return"),
    )


@pytest.fixture(scope="module")
def figure() -> Figure:
    return strange_figure()


def test_the_score_axis_shows_whole_intervals_and_reference_lines() -> None:
    rows = [
        ("A", (22.1,), Estimate(22.1, 19.6, 24.6, "t")),
        ("B", (22.9,), Estimate(22.9, 20, 25, "t")),
    ]
    styles = {n: plot_style(i) for i, n in enumerate("AB")}
    axes = matplotlib.figure.Figure().subplots()
    plot_scores(axes, rows, styles, "return", [(22.0, "random"), (22.5, "human")])
    low, high = axes.get_xlim()
    assert low < 19.6 < 25 < high
    sides = {text.get_text(): text.get_horizontalalignment() for text in axes.texts}
    assert sides == {"random": "right", "human": "left"}  # they do not overlap


def test_figures_are_reproducible_and_change_no_global_state(figure: Figure) -> None:
    before = dict(matplotlib.rcParams)
    again = strange_figure()
    assert (figure.svg, figure.png) == (again.svg, again.png)
    assert dict(matplotlib.rcParams) == before


def test_names_may_contain_any_characters(figure: Figure) -> None:
    for svg in (figure.svg, figure.inline):
        texts = [element.text for element in ElementTree.fromstring(svg).iter() if element.text]
        for name in STRANGE:
            assert any(name[: MAX_LABEL_LENGTH - 1] in text for text in texts), name


def test_an_inline_figure_loads_nothing_and_has_its_own_ids(figure: Figure) -> None:
    root = ElementTree.fromstring(figure.inline)
    assert "http" not in figure.inline
    assert root.attrib["aria-label"] == 'of "A" & <B>'
    ids = [e.attrib["id"] for e in root.iter() if "id" in e.attrib]
    assert len(ids) == len(set(ids))
    assert all(i.startswith("scores-") for i in ids)
    for element in root.iter():
        target = element.attrib.get("href", "#scores-")
        assert target.startswith("#scores-")
        assert target == "#scores-" or target[1:] in ids
        assert "#" not in element.attrib.get("style", "").replace("url(#scores-", "")


def test_a_legend_contains_every_name() -> None:
    band = Band(np.arange(3.0), np.array([1, 0.5, 0]), np.zeros(3), np.ones(3))
    aggregate = Aggregate(("E",), "score", "", {}, dict.fromkeys(STRANGE, band))
    styles = {n: plot_style(i) for i, n in enumerate(STRANGE)}
    figure = draw_figure("p", "", "", "", 3.0, lambda axes: plot_profiles(axes, aggregate, styles))
    texts = "".join(ElementTree.fromstring(figure.svg).itertext())
    assert all(name[: MAX_LABEL_LENGTH - 1] in texts for name in STRANGE)


def test_infinite_intervals_are_not_drawn() -> None:
    rows = [("A − B", Estimate(1.0, -np.inf, np.inf, "welch"), False)]
    figure = draw_figure("d", "", "", "", 1.5, lambda axes: plot_forest(axes, rows, "difference"))
    assert "nan" not in figure.svg
    assert "inf" not in figure.svg.replace("information", "")


def test_every_contender_has_its_own_style() -> None:
    styles = [plot_style(index) for index in range(4 * len(PALETTE))]
    assert len({(style.color, str(style.dashes)) for style in styles}) == len(styles)
    assert plot_style(0) == PlotStyle(PALETTE[0], "o", "-")


# Viénot, Brettel & Mollon (1999): linear RGB as seen without red, or without green, receptors.
VISION = {
    "none": np.eye(3),
    "red": np.array([[0.11238, 0.88762, 0], [0.11238, 0.88762, 0], [0.00401, -0.00401, 1]]),
    "green": np.array([[0.29275, 0.70725, 0], [0.29275, 0.70725, 0], [-0.02234, 0.02234, 1]]),
}


def lab(color: str, vision: str) -> Floats:
    """Return CIE L*a*b* of a color, as it is seen with this vision."""
    rgb = np.array([int(color[i : i + 2], 16) / 255 for i in (1, 3, 5)])
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    seen = np.clip(VISION[vision] @ linear, 0, 1)
    xyz = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])
    t = xyz @ seen / (xyz @ np.ones(3))
    f = np.where(t > (6 / 29) ** 3, np.cbrt(t), t * (29 / 6) ** 2 / 3 + 4 / 29)
    return np.array([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])


def schemes() -> list[list[str]]:
    """Return the contenders' colors on the page: of the light and of the dark scheme."""
    css = resources.files("gridcade.report").joinpath("page.css").read_text()
    colors = re.findall(r"--contender-\d: (#[0-9a-f]{6})", css)
    return [colors[: len(PALETTE)], colors[len(PALETTE) :]]


def test_page_and_figures_have_the_same_colors() -> None:
    light, dark = schemes()
    assert tuple(light) == PALETTE
    assert len(dark) == len(PALETTE)


@pytest.mark.parametrize("scheme", [0, 1])
@pytest.mark.parametrize("vision", VISION)
def test_colors_differ_with_color_blindness(vision: str, scheme: int) -> None:
    labs = [lab(color, vision) for color in schemes()[scheme]]

    def smallest_distance(some: list[Floats]) -> float:
        return min(float(np.linalg.norm(a - b)) for a, b in combinations(some, 2))

    assert smallest_distance(labs) > 15  # 2 or 3 is just noticeable
    assert smallest_distance(labs[:4]) > 25


@pytest.mark.parametrize(("scheme", "background"), [(0, "#ffffff"), (1, "#15181c")])
def test_colors_differ_from_the_background(scheme: int, background: str) -> None:
    lightness = lab(background, "none")[0]
    assert all(abs(lab(c, "none")[0] - lightness) > 30 for c in schemes()[scheme])
