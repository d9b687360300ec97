"""The history of a lane: moments to which it can return, in branches."""

from dataclasses import dataclass
from typing import Generic, TypeVar

from gridcade.errors import InputError

T = TypeVar("T")

MOST_MOMENTS = 200  # of a branch
FEWEST_MOMENTS = 20  # of a branch, however large they are
MOST_BYTES = 64_000_000  # of all moments
MOST_BRANCHES = 8


@dataclass(frozen=True)
class Moment(Generic[T]):
    """One moment of a history."""

    number: int  # in the order of recording
    steps: int
    content: T
    edited: bool  # whether the world was edited just before


@dataclass
class Branch(Generic[T]):
    """A sequence of moments, from the beginning of the history."""

    moments: list[Moment[T]]
    parent: int | None = None  # the branch from which it branched off
    fork: int = 0  # steps at which it branched off
    used: int = 0  # number of the last visit to it, in the order of all visits


class History(Generic[T]):
    """Keeps moments in branches, and drops some of them when there are too many.

    Recording after a return to an earlier moment begins a new branch there. Each branch keeps at
    most `MOST_MOMENTS`, or fewer if all branches together would exceed `MOST_BYTES`. The history
    drops the moment whose removal leaves the smallest gap, relative to its distance in steps from
    the first or the newest moment, whichever is nearer. The remaining moments are about evenly
    spaced by the logarithm of this distance. The history always keeps the first and the newest
    moment, and keeps edits while it can drop other moments. If there are more than `MOST_BRANCHES`,
    it drops the branch that was visited least recently.

    Attributes:
        branches: by number.
        branch: number of the present branch.
    """

    def __init__(self) -> None:
        self.branches: dict[int, Branch[T]] = {0: Branch([])}
        self.branch = 0
        self._position = -1  # index of the present moment in its branch
        self._recorded = self._visits = 0

    @property
    def moments(self) -> list[Moment[T]]:
        """The moments of the present branch, in order."""
        return self.branches[self.branch].moments

    @property
    def present(self) -> Moment[T]:
        """The moment that was recorded last, or returned to."""
        return self.moments[self._position]

    @property
    def is_newest(self) -> bool:
        """Whether no later moment follows in the present branch."""
        return self._position == len(self.moments) - 1

    def record(self, steps: int, content: T, size: int, edited: bool = False) -> None:
        """Add a moment after the present one.

        Args:
            steps: steps of the learner.
            content: content that `go_to` will return.
            size: size of the content in bytes.
            edited: whether the world was edited just before.
        """
        if not self.is_newest:
            self._branch_off()
        self.moments.append(Moment(self._recorded, steps, content, edited))
        self._recorded += 1
        most = MOST_BYTES // max(1, size * len(self.branches))
        most = max(FEWEST_MOMENTS, min(MOST_MOMENTS, most))
        for branch in self.branches.values():
            while len(branch.moments) > most:
                del branch.moments[least_needed(branch.moments)]
        self._position = len(self.moments) - 1

    def _branch_off(self) -> None:
        """Begin a branch that shares the moments up to the present one."""
        branch = Branch(self.moments[: self._position + 1], self.branch, self.present.steps)
        number = max(self.branches) + 1
        self.branches[number] = branch
        self._visit(number)
        if len(self.branches) > MOST_BRANCHES:
            oldest = min(self.branches, key=lambda number: self.branches[number].used)
            del self.branches[oldest]

    def _visit(self, number: int) -> None:
        self._visits += 1
        self.branch = number
        self.branches[number].used = self._visits

    def go_to(self, number: int, moment: int | None) -> T:
        """Return to a moment, and return its content.

        Args:
            number: number of the branch.
            moment: number of the moment; None: the newest one of the branch. If the moment was
                dropped, the last one before it is used.

        Raises:
            InputError: the branch is no longer kept.
        """
        if number not in self.branches:
            raise InputError("this branch is no longer kept; choose another one")
        moments = self.branches[number].moments
        kept = [i for i, m in enumerate(moments) if moment is None or m.number <= moment]
        self._visit(number)
        self._position = kept[-1] if kept else 0
        return self.present.content


def least_needed(moments: list[Moment[T]]) -> int:
    """Return the index of the moment whose removal leaves the smallest gap; see `History`."""
    between = range(1, len(moments) - 1)
    candidates = [i for i in between if not moments[i].edited] or list(between)
    return min(candidates, key=lambda i: gap_without(moments, i))


def gap_without(moments: list[Moment[T]], i: int) -> float:
    """Return the gap without a moment, relative to its distance from the nearer end."""
    steps, newest = moments[i].steps, moments[-1].steps
    near = min(steps - moments[0].steps, newest - steps)
    return (moments[i + 1].steps - moments[i - 1].steps) / (near + 1)
