"""A history returns recorded moments, stays small, and branches off at earlier moments."""

import math
import random
from itertools import pairwise

import pytest

from gridcade.errors import InputError
from gridcade.live.world.history import (
    FEWEST_MOMENTS,
    MOST_BRANCHES,
    MOST_BYTES,
    MOST_MOMENTS,
    History,
)


class Everything:
    """A naive history that keeps everything: a list of (steps, content) for each branch."""

    def __init__(self) -> None:
        self.branches: dict[int, list[tuple[int, str]]] = {0: []}
        self.branch, self.position = 0, -1

    def record(self, steps: int, content: str) -> None:
        past = self.branches[self.branch][: self.position + 1]
        if len(past) < len(self.branches[self.branch]):
            self.branch = max(self.branches) + 1
        self.branches[self.branch] = [*past, (steps, content)]
        self.position = len(past)

    def go_to(self, branch: int, content: str) -> None:
        self.branch = branch
        contents = [c for _, c in self.branches[branch]]
        self.position = contents.index(content)


@pytest.mark.parametrize("seed", range(5))
def test_a_history_is_a_thinned_out_copy_of_a_naive_one(seed: int) -> None:
    """After random visits, kept moments are right and in order, and include both ends."""
    rng = random.Random(seed)
    history: History[str] = History()
    oracle = Everything()
    steps = 0
    for number in range(1500):
        if number and rng.random() < 0.02:
            branch = rng.choice(list(history.branches))
            moment = rng.choice(history.branches[branch].moments)
            assert history.go_to(branch, moment.number) == moment.content
            oracle.go_to(branch, moment.content)
            steps = moment.steps
        edited = rng.random() < 0.03
        steps += 0 if edited else rng.choice([1, 10, 1000])
        history.record(steps, f"content {number}", 1000, edited)
        oracle.record(steps, f"content {number}")
        assert history.branch == oracle.branch
        assert history.present.content == f"content {number}"
        assert history.is_newest
    assert 1 < len(history.branches) <= MOST_BRANCHES
    for number, kept_branch in history.branches.items():
        kept = [(m.steps, m.content) for m in kept_branch.moments]
        full = oracle.branches[number]
        assert len(kept) <= MOST_MOMENTS
        assert kept == [entry for entry in full if entry in kept]  # in order
        assert (kept[0], kept[-1]) == (full[0], full[-1])


def test_moments_are_dense_near_both_ends() -> None:
    """No gap is longer than a quarter of the distance from the nearer end, or 832 steps."""
    history: History[int] = History()
    for steps in [*range(1000), *range(1000, 1_000_000, 333)]:
        history.record(steps, steps, 1000)
    steps_kept = [m.steps for m in history.moments]
    assert len(steps_kept) == MOST_MOMENTS
    for a, b in pairwise(steps_kept):
        near = max(min(b, steps_kept[-1] - a), 3330)
        assert b - a <= 0.25 * near


def test_edits_are_kept_while_there_are_other_moments() -> None:
    history: History[int] = History()
    for steps in range(10_000):
        history.record(steps, steps, 1000, edited=steps % 100 == 50)
    kept = {m.steps for m in history.moments}
    assert kept >= set(range(50, 10_000, 100))
    for steps in range(10_000, 11_000):
        history.record(steps, steps, 1000, edited=True)
    assert len(history.moments) == MOST_MOMENTS


def test_a_history_keeps_fewer_moments_if_they_are_large() -> None:
    history: History[int] = History()
    size = MOST_BYTES // 100
    for steps in range(1000):
        history.record(steps, steps, size)
    assert len(history.moments) == 100
    history.go_to(0, history.moments[50].number)
    steps = history.present.steps
    history.record(steps + 1, 1, size)
    distinct = {m.number for branch in history.branches.values() for m in branch.moments}
    assert len(distinct) * size <= MOST_BYTES
    history.record(steps + 2, 2, MOST_BYTES)
    assert {len(branch.moments) for branch in history.branches.values()} == {FEWEST_MOMENTS}


def test_the_branch_that_was_visited_least_recently_is_dropped() -> None:
    history: History[str] = History()
    history.record(0, "start", 1)
    history.record(1, "first", 1)
    for number in range(1, MOST_BRANCHES):
        history.go_to(number - 1, 0)
        history.record(1, f"branch {number}", 1)
    assert history.go_to(0, None) == "first"  # visited again, so branch 1 is the least recent
    history.go_to(0, 0)
    history.record(1, "one more", 1)
    assert list(history.branches) == [0, *range(2, MOST_BRANCHES + 1)]
    assert (history.branches[history.branch].parent, history.branches[3].parent) == (0, 2)
    with pytest.raises(InputError, match="no longer kept"):
        history.go_to(1, None)
    assert history.go_to(2, math.floor(1e9)) == "branch 2"
