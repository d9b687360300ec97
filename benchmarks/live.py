"""Measure the live page: pictures per second, the server's share of a core, speed of learning.

    python benchmarks/live.py [--world FourRooms] [--minutes 1] [--rounds 3]
    python benchmarks/live.py --arcade breakout [--minutes 1] [--rounds 3]

A client reads the pictures and discards them, because a browser would use the other core. Rounds
with the page open alternate with rounds of the same loop without a page. With --arcade, a policy
plays at native speed instead. Prints medians and ranges.
"""

import argparse
import json
import multiprocessing
import os
import statistics
import time
from collections.abc import Callable
from pathlib import Path

from websockets.sync.client import connect
from websockets.typing import Origin

from gridcade.live.arcade.picture import unpack
from gridcade.live.background import LivePage
from gridcade.live.world.lane import Lane
from gridcade.live.world.messages import Open
from gridcade.training.run_names import RUNS

Line = tuple[str, list[float], Callable[[float], str]]  # name, value of each round, formatter


def with_page(address: str, world: str, seconds: float) -> tuple[float, float, float, float]:
    """Learn at full speed with a page open.

    Returns:
        The seconds to the first picture. For the second half of the time: pictures per second, the
        share of a core that server and client take, and steps per second.
    """
    began = time.perf_counter()
    with connect(f"ws://{address}/live", origin=Origin(f"http://{address}")) as page:
        page.send(json.dumps({"type": "open", "world": world, "agent": "q-learning"}))
        first = pictures = steps = 0
        middle, cpu = began + seconds / 2, 0.0
        to_first = 0.0
        while time.perf_counter() < began + seconds:
            message = str(page.recv())
            if not message.startswith('{"type":"picture"'):
                continue
            if not to_first:
                to_first = time.perf_counter() - began
                page.send('{"type":"speed","steps_per_second":null}')
                page.send('{"type":"run"}')
            if time.perf_counter() >= middle:
                steps = json.loads(message)["steps"]
                if not pictures:
                    first, cpu, middle = steps, sum(os.times()[:2]), time.perf_counter()
                pictures += 1
        took = time.perf_counter() - middle
        share = (sum(os.times()[:2]) - cpu) / took
    return to_first, pictures / took, share, (steps - first) / took


def without_page(world: str, seconds: float) -> float:
    """Return the steps per second of the same loop in this process."""
    lane = Lane(Open(world=world, agent="q-learning"))
    lane.advance(1_000_000)
    began, before = time.perf_counter(), lane.learner.steps
    while time.perf_counter() < began + seconds / 2:
        lane.advance(100_000)
    return (lane.learner.steps - before) / (time.perf_counter() - began)


def playing(address: str, policy: str, seconds: float) -> tuple[float, float, float, float]:
    """Let a policy play at native speed on the Arcade page.

    Returns:
        The seconds to the first picture. For the second half of the time: screens per second, the
        share of a core that server and client take, and the share of the process with emulator
        and network.
    """
    began = time.perf_counter()
    with connect(f"ws://{address}/arcade/live", origin=Origin(f"http://{address}")) as page:
        page.send(json.dumps({"type": "open", "policy": policy}))
        screens, to_first, middle = 0, 0.0, began + seconds / 2
        before = (0.0, 0.0)
        while time.perf_counter() < began + seconds:
            message = page.recv()
            if not isinstance(message, bytes):
                continue
            if not to_first:
                to_first = time.perf_counter() - began
                page.send('{"type":"play"}')
            if time.perf_counter() >= middle:
                if not screens:
                    before, middle = processor_times(), time.perf_counter()
                screens += unpack(message)[0]["screens"][0]
        took = time.perf_counter() - middle
        ours, theirs = (b - a for a, b in zip(before, processor_times(), strict=True))
    return to_first, screens / took, ours / took, theirs / took


def processor_times() -> tuple[float, float]:
    """Return the processor seconds of this process and of its running children (Linux only)."""
    theirs = 0.0
    for child in multiprocessing.active_children():
        fields = Path(f"/proc/{child.pid}/stat").read_text().rpartition(")")[2].split()
        theirs += (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    return sum(os.times()[:2]), theirs


def main() -> None:
    """Measure and print the results."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--world", default="FourRooms")
    parser.add_argument("--minutes", type=float, default=1.0)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument(
        "--arcade", metavar="POLICY", help="measure the Arcade page with this policy"
    )
    options = parser.parse_args()
    page, seconds = LivePage(RUNS, 0, 900), 60 * options.minutes
    address = page.address.removeprefix("http://").removesuffix("/")
    title = f"{options.rounds} rounds of {options.minutes:g} minutes"
    if options.arcade:
        games = [playing(address, options.arcade, seconds) for _ in range(options.rounds)]
        to_first, screens, ours, theirs = (list(column) for column in zip(*games, strict=True))
        print_medians(
            f"{options.arcade}, {title}",
            [
                ("seconds to the first picture", to_first, "{:.2f}".format),
                ("screens per second", screens, "{:.1f}".format),
                ("share of a core, server and client", ours, "{:.1%}".format),
                ("share of a core, emulator and network", theirs, "{:.1%}".format),
            ],
        )
        return
    rounds = [
        (*with_page(address, options.world, seconds), without_page(options.world, seconds))
        for _ in range(options.rounds)
    ]
    columns = list(zip(*rounds, strict=True))
    ratios = [open_ / alone for open_, alone in zip(columns[3], columns[4], strict=True)]
    show: list[Line] = [
        ("seconds to the first picture", list(columns[0]), "{:.2f}".format),
        ("pictures per second", list(columns[1]), "{:.1f}".format),
        ("share of a core, server and client", list(columns[2]), "{:.1%}".format),
        ("steps per second, page open", list(columns[3]), "{:,.0f}".format),
        ("steps per second, no page", list(columns[4]), "{:,.0f}".format),
        ("ratio", ratios, "{:.2f}".format),
    ]
    print_medians(f"{options.world}, {title}", show)


def print_medians(title: str, lines: list[Line]) -> None:
    """Print the median and the range of measurements."""
    print(title)
    for name, values, form in lines:
        median = form(statistics.median(values))
        print(f"{name:38} {median}  ({form(min(values))} to {form(max(values))})")


if __name__ == "__main__":
    multiprocessing.freeze_support()
    main()
