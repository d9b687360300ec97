"""Jack's car rental (Sutton & Barto 2018, example 4.2)."""

from functools import cache, cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import special

from gridcade.envs.arguments import check_size
from gridcade.envs.book.table_picture import TablePicture
from gridcade.envs.maps import Cell, World
from gridcade.envs.model import Model
from gridcade.envs.rendering import Painter
from gridcade.envs.tabular import RENDER_PIXELS, TabularEnv

Floats = NDArray[np.float64]
RENT, MOVE_COST = 10.0, 2.0  # dollars per car
MOST_MOVED = 5  # cars per night
REQUESTS, RETURNS = (3.0, 4.0), (3.0, 2.0)  # expected per day, at the first and second location
ABOUT = (
    "Sutton & Barto (2018), example 4.2. A continuing task: each night up to 5 cars move between "
    "two locations, for 2 each; each day cars are rented for 10 each, and others come back. The "
    "book uses a discount of 0.9. Argument: capacity"
)


class JacksCarRental(TabularEnv):
    """Jack's car rental: how many cars to move overnight between two locations.

    Observations: the numbers of cars at the first and the second location in the evening, as one
    index, (capacity + 1) * first + second. On the first evening each location has half of its
    capacity, rounded down.

    Actions: 0 to 10, the number of cars moved from the first to the second location, plus 5:
    action 5 moves none, action 0 moves five from the second to the first. Only cars that are there
    can be moved (`info["action_mask"]`); a larger number counts as the largest allowed one. Cars
    beyond the capacity of a location disappear.

    Each day, the requests at the two locations are Poisson distributed with means 3 and 4, and the
    returns with means 3 and 2. Returned cars can be rented from the next day on.

    Reward: the expected reward, given the evening and the action: 10 for each rented car, minus 2
    for each moved car. (The number of rented cars is random, but values depend only on its
    expectation.) A continuing task; the book uses a discount of 0.9.

    Source: Sutton & Barto (2018), example 4.2. The probabilities are exact: all numbers of requests
    beyond the available cars are one event, and so are all numbers of returns beyond the capacity.

    Args:
        capacity: largest number of cars at a location, 1 or greater.
        **options: see `TabularEnv`.

    Raises:
        InputError: `capacity` or an option is invalid.
    """

    def __init__(self, capacity: int = 20, **options: Any):
        # Every evening is a possible outcome of every evening and action.
        actions = 2 * MOST_MOVED + 1
        check_size("capacity", capacity, 1, lambda capacity: actions * (capacity + 1) ** 4)
        half, size = capacity // 2, capacity + 1
        rows = ["." * size] * size
        rows[half] = "." * half + "S" + "." * (capacity - half)
        legend = {".": Cell(), "S": Cell(start=True)}
        world = World(tuple(rows), legend, "Jack's car rental", ABOUT)
        moved = np.arange(-MOST_MOVED, MOST_MOVED + 1)
        signs = np.tile(moved.astype(str), (size**2, 1))
        super().__init__(world, rental_model(capacity), signs=signs, **options)

    @cached_property
    def _render_painter(self) -> Painter:
        names = "cars at the first location", "cars at the second location"
        return TablePicture(self.world, RENDER_PIXELS, *names)


@cache
def rental_model(capacity: int) -> Model:
    """Build the exact model of Jack's car rental."""
    size = capacity + 1
    first, second = (x.ravel()[:, None] for x in np.divmod(np.arange(size**2), size))
    moved = np.arange(-MOST_MOVED, MOST_MOVED + 1)  # from the first location to the second
    allowed = (moved <= first) & (-moved <= second)  # [states, actions]
    moved = np.clip(moved, -second, first)
    mornings = np.minimum(first - moved, capacity), np.minimum(second + moved, capacity)
    days = [one_location(capacity, *means) for means in zip(REQUESTS, RETURNS, strict=True)]
    evenings = [day[0][morning] for day, morning in zip(days, mornings, strict=True)]
    rented = sum(day[1][morning] for day, morning in zip(days, mornings, strict=True))
    probabilities = evenings[0][..., :, None] * evenings[1][..., None, :]
    rewards = RENT * rented - MOVE_COST * np.abs(moved)  # [states, actions]
    outcomes = probabilities.size
    return Model(
        offsets=np.arange(0, outcomes + 1, size**2),
        next_states=np.tile(np.arange(size**2), allowed.size),
        probabilities=probabilities.ravel(),
        rewards=np.repeat(rewards.ravel(), size**2),
        terminated=np.zeros(outcomes, dtype=bool),
        start=np.eye(size**2)[capacity // 2 * (size + 1)],
        allowed=allowed,
    )


def one_location(capacity: int, requests: float, returns: float) -> tuple[Floats, Floats]:
    """Compute a day at one location, for each number of cars there in the morning.

    Args:
        capacity: largest number of cars.
        requests: expected requests per day, Poisson distributed.
        returns: expected returns per day, Poisson distributed.

    Returns:
        Probabilities of the cars in the evening, [mornings, evenings], and expected rented cars,
        [mornings].
    """
    cars = np.arange(capacity + 1)
    evenings, rented = np.zeros((capacity + 1, capacity + 1)), np.zeros(capacity + 1)
    for morning in range(capacity + 1):
        demand = _poisson_up_to(morning, requests)  # probabilities of 0 to `morning` rented cars
        rented[morning] = demand @ cars[: morning + 1]
        for rent, p in enumerate(demand):
            left = morning - rent
            evenings[morning, left:] += p * _poisson_up_to(capacity - left, returns)
    return evenings, rented


def _poisson_up_to(most: int, mean: float) -> Floats:
    """Return the probabilities of 0, 1, ..., `most` - 1, and of `most` or more.  [most + 1]."""
    numbers = np.arange(most)
    logs = numbers * np.log(mean) - mean - special.gammaln(numbers + 1)
    at_least = special.pdtrc(most - 1, mean) if most else 1.0
    return np.append(np.exp(logs), at_least)
