"""The live page: pictures a second, the server's share of a core, and the speed of learning.

    python benchmarks/live.py [--world FourRooms] [--minutes 1] [--rounds 3]
    python benchmarks/live.py --arcade breakout [--minutes 1] [--rounds 3]

A client reads and discards, as a browser would take the other core. Rounds with the page open
alternate with rounds of the same loop without a page. With --arcade, a policy plays at native speed
instead. Prints the median and the range.
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

Line = tuple[str, list[float], Callable[[float], str]]  # name, one value a round, and their form


def with_page(address: str, world: str, seconds: float) -> tuple[float, float, float, float]:
    """Learn at full speed with a page open.

    Returns:
        Seconds to the first picture; then pictures a second, the server's share of a core, and
        steps a second, of the second half of the time.
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
    """Steps a second of the same loop in this process."""
    lane = Lane(Open(world=world, agent="q-learning"))
    lane.advance(1_000_000)
    began, before = time.perf_counter(), lane.learner.steps
    while time.perf_counter() < began + seconds / 2:
        lane.advance(100_000)
    return (lane.learner.steps - before) / (time.perf_counter() - began)


def playing(address: str, policy: str, seconds: float) -> tuple[float, float, float, float]:
    """Let a policy play at native speed on the Arcade page.

    Returns:
        Seconds to the first picture; then screens a second, and the shares of a core that server
        and client, and the process with emulator and network take, of the second half of the time.
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
    """Seconds of processor time of this process, and of its children that run now (on Linux)."""
    theirs = 0.0
    for child in multiprocessing.active_children():
        fields = Path(f"/proc/{child.pid}/stat").read_text().rpartition(")")[2].split()
        theirs += (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    return sum(os.times()[:2]), theirs


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--world", default="FourRooms")
    parser.add_argument("--minutes", type=float, default=1.0)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--arcade", metavar="POLICY", help="a policy that plays")
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
                ("screens a second", screens, "{:.1f}".format),
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
        ("pictures a second", list(columns[1]), "{:.1f}".format),
        ("share of a core, server and client", list(columns[2]), "{:.1%}".format),
        ("steps a second, page open", list(columns[3]), "{:,.0f}".format),
        ("steps a second, no page", list(columns[4]), "{:,.0f}".format),
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
