"""The live page: pictures a second, the server's share of a core, and the speed of learning.

    python benchmarks/live.py [--world FourRooms] [--minutes 1] [--rounds 3]

A client reads and discards, as a browser would take the other core. Rounds with the page open
alternate with rounds of the same loop without a page. Prints the median and the range.
"""

import argparse
import json
import multiprocessing
import os
import socket
import statistics
import threading
import time
from collections.abc import Callable
from pathlib import Path

from websockets.sync.client import connect
from websockets.typing import Origin

from gridcade.serve.lane import Lane
from gridcade.serve.messages import Open
from gridcade.serve.server import Server


def start_server() -> str:
    """Start a server on a thread, and return its host and port."""
    bound = socket.socket()
    bound.bind(("127.0.0.1", 0))
    server = Server("127.0.0.1", bound.getsockname()[1], Path("runs"))
    running = server.runner()
    threading.Thread(target=running.run, kwargs={"sockets": [bound]}, daemon=True).start()
    while not running.started:
        time.sleep(0.01)
    return server.address.removeprefix("http://").removesuffix("/")


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


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--world", default="FourRooms")
    parser.add_argument("--minutes", type=float, default=1.0)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    address, seconds = start_server(), 60 * options.minutes
    rounds = [
        (*with_page(address, options.world, seconds), without_page(options.world, seconds))
        for _ in range(options.rounds)
    ]
    columns = list(zip(*rounds, strict=True))
    ratios = [open_ / alone for open_, alone in zip(columns[3], columns[4], strict=True)]
    show: list[tuple[str, list[float], Callable[[float], str]]] = [
        ("seconds to the first picture", list(columns[0]), "{:.2f}".format),
        ("pictures a second", list(columns[1]), "{:.1f}".format),
        ("share of a core, server and client", list(columns[2]), "{:.1%}".format),
        ("steps a second, page open", list(columns[3]), "{:,.0f}".format),
        ("steps a second, no page", list(columns[4]), "{:,.0f}".format),
        ("ratio", ratios, "{:.2f}".format),
    ]
    print(f"{options.world}, {options.rounds} rounds of {options.minutes:g} minutes")
    for name, values, form in show:
        median = form(statistics.median(values))
        print(f"{name:36} {median}  ({form(min(values))} to {form(max(values))})")


if __name__ == "__main__":
    multiprocessing.freeze_support()
    main()
