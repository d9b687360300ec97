"""A comparison as a notebook shows it."""

import re

from comparisons import Scores, made_up

from gridcade.report.summary import PrintedComparison


def test_a_comparison_shows_scores_and_curves() -> None:
    name = "<script>alert(1)</script>"
    scores: Scores = {"CliffWalk": {name: [1.0, 2.0, 3.0], "random": 0.5}}
    html = PrintedComparison(**vars(made_up(scores)))._repr_html_()
    assert html.count("<svg") == 3  # scores, evaluations, training
    assert "<script" not in html
    assert "&lt;script&gt;" in html
    again = PrintedComparison(**vars(made_up(scores)))._repr_html_()
    ids = re.findall(r'\bid="([^"]+)"', html + again)
    assert len(ids) == len(set(ids))  # the same result can be shown twice in a notebook
    assert all(f'id="{used}"' in html for used in re.findall(r"url\(#([^)]+)\)", html))
    assert set(re.findall(r"var\((--[\w-]+)\)", html)) <= set(re.findall(r"(--[\w-]+):", html))
