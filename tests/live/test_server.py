"""The server: what it answers, what it refuses, and what it leaves behind."""

import base64
import json
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np
import pytest
from serving import get, wait_for_sessions
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection, connect

from gridcade.live.server import BURST, HEADERS, MAX_SOCKETS, MAX_VIEWERS, Server

pytest_plugins = ("live_server_fixtures",)

Message = dict[str, Any]


class Page:
    """A client that sends and receives the messages of a page."""

    def __init__(self, socket: ClientConnection):
        self.socket = socket

    def send(self, kind: str, **fields: Any) -> None:
        self.socket.send(json.dumps({"type": kind} | fields))

    def first(self) -> Message:
        """Return the next message."""
        message: Message = json.loads(self.socket.recv(20))
        return message

    def receive(self, kind: str, timeout: float = 20.0) -> Message:
        """Return the next message of a kind, and drop other messages."""
        end = time.monotonic() + timeout
        while True:
            message: Message = json.loads(self.socket.recv(end - time.monotonic()))
            if message["type"] == kind:
                return message
            assert message["type"] != "error", message


@contextmanager
def page(address: str, viewer: str = "", **options: Any) -> Iterator[Page]:
    parts = urlsplit(address)
    origin = options.pop("origin", f"http://{parts.netloc}")
    url = f"ws://{parts.netloc}/live?viewer={viewer}"
    with connect(url, origin=origin, **options) as socket:
        yield Page(socket)


def test_the_page_may_load_nothing_from_other_servers(live_server: str) -> None:
    status, headers, _ = get(live_server, "/")
    assert status == 200
    assert all(headers[name.lower()] == value for name, value in HEADERS.items())
    policy = headers["content-security-policy"]
    assert "default-src 'self'" in policy
    assert "frame-ancestors 'none'" in policy
    assert get(live_server, "/", host="evil.example")[0] == 403
    assert get(live_server, "/", host="[")[0] == 403


@pytest.mark.parametrize(
    "path",
    [
        "/static/../server.py",
        "/static/%2e%2e/server.py",
        "/static/..%2fserver.py",
        "/static//etc/passwd",
    ],
)
def test_no_file_outside_the_page_is_sent(live_server: str, path: str) -> None:
    status, _, body = get(live_server, path)
    assert status in (403, 404)
    assert b"import" not in body


def test_another_page_cannot_use_the_socket(live_server: str) -> None:
    for origin in ("http://evil.example", "http://[", None):
        with (
            pytest.raises((InvalidStatus, ConnectionClosed)),
            page(live_server, origin=origin) as p,
        ):
            p.socket.recv(5)


def test_a_server_for_others_needs_a_token() -> None:
    server = Server("0.0.0.0", 80, Path("runs"))
    assert server.token in server.address
    assert server._has_token(server.token)
    assert not server._has_token("")
    assert Server("127.0.0.1", 80, Path("runs")).address == "http://127.0.0.1:80/"


def test_learning_reaches_the_optimum(live_server: str) -> None:
    """At full speed, the exact gap of the greedy policy goes to 0."""
    with page(live_server) as p:
        assert "FourRooms" in [w["name"] for w in p.receive("catalog")["worlds"]]
        p.send("open", world="CliffWalk", agent="q-learning", seed=1)
        world = p.receive("world")
        assert len(world["places"]) == len(world["best"]) == 38
        first = p.receive("picture")
        assert (first["steps"], first["running"]) == (0, False)
        assert first["exact"]["discounted_return"] < world["optimum"]["discounted_return"]
        p.send("speed", steps_per_second=None)
        p.send("run")
        exact, end = first["exact"], time.monotonic() + 20
        while exact["wrong"] and time.monotonic() < end:
            picture = p.receive("picture")
            exact = picture["exact"] or exact
        assert exact["wrong"] == 0
        assert exact["gap"] == pytest.approx(0, abs=1e-9)
        p.send("pause")
        while p.receive("picture")["running"]:
            pass


def test_one_step_and_one_episode(live_server: str) -> None:
    with page(live_server) as p:
        p.send("open", world="CliffWalk", agent="q-learning", parameters={"epsilon": "0"})
        p.receive("world")
        p.send("step")
        update = p.receive("update")
        terms = dict(update["terms"])
        assert terms["new Q(s,a)"] == pytest.approx(
            terms["Q(s,a)"]
            + terms["α"] * (terms["r"] + terms["γ"] * terms["max Q(s′,b)"] - terms["Q(s,a)"])
        )
        new = f"{terms['new Q(s,a)']:.4g}".replace("-", "−")
        assert update["filled"].startswith(f"{new} ← ")
        assert "--" not in update["filled"]
        picture = p.receive("picture")
        q = np.frombuffer(base64.b64decode(picture["q"]), "<f4").reshape(-1, 4)
        assert q[update["s"], update["a"]] == pytest.approx(terms["new Q(s,a)"])
        p.send("episode")
        p.receive("update")
        while not p.receive("picture")["episode"]:
            pass


def test_a_hidden_page_gets_no_pictures_while_its_learner_goes_on(live_server: str) -> None:
    with page(live_server) as p:
        p.send("open", world="CliffWalk", agent="q-learning")
        p.send("speed", steps_per_second=None)
        p.send("visible", visible=False)
        p.send("run")
        p.send("save")
        p.receive("map")
        with pytest.raises(TimeoutError):
            p.socket.recv(1)
        p.send("visible", visible=True)
        assert p.receive("picture")["steps"] > 10_000


BAD_MESSAGES = [
    ("not json", "message not understood"),
    ('{"type": "fly"}', "message not understood"),
    ('{"type": "open", "world": "FourRooms"}', "message not understood"),
    ('{"type": "open", "world": "FourRoms", "agent": "q-learning"}', "did you mean FourRooms"),
    ('{"type": "open", "world": "/etc/passwd", "agent": "q-learning"}', "unknown world"),
    ('{"type": "open", "world": "os:system", "agent": "q-learning"}', "unknown world"),
    ('{"type": "open", "world": "Maze?size=2000", "agent": "q-learning"}', "shows up to 35"),
    ('{"type": "run"}', "choose a world first"),
    ('{"type": "speed", "steps_per_second": 1e-320}', "message not understood"),
    ('{"type": "speed", "steps_per_second": -1}', "message not understood"),
]


def test_bad_messages_are_answered_with_errors(live_server: str) -> None:
    with page(live_server) as p:
        p.receive("catalog")
        for text, expected in BAD_MESSAGES:
            p.socket.send(text)
            message = p.first()
            assert message["type"] == "error", text
            assert expected in message["message"], text
        p.send("open", world="CliffWalk", agent="q-learning")  # the lane's process still runs
        p.receive("world")


def test_a_flood_ends_the_connection_and_not_the_server(live_server: str) -> None:
    with page(live_server) as p:
        with suppress(ConnectionClosed):
            for _ in range(3 * BURST):
                p.send("pause")
        while p.socket.close_code is None:
            with suppress(ConnectionClosed):
                p.socket.recv(10)
    with page(live_server) as p:
        p.receive("catalog")


def test_viewers_are_limited_and_leave_no_process(live_server: str) -> None:
    wait_for_sessions(0)
    with ExitStack() as stack:
        end = time.monotonic() + 20
        for _ in range(MAX_VIEWERS):  # the server may not know yet that an earlier page has left
            while stack.enter_context(page(live_server)).first()["type"] != "catalog":
                assert time.monotonic() < end
        wait_for_sessions(MAX_VIEWERS)
        sixth = stack.enter_context(page(live_server))
        assert f"{MAX_VIEWERS} viewers" in json.loads(sixth.socket.recv(10))["message"]
    wait_for_sessions(0)


def test_the_sockets_of_one_page_are_one_viewer(live_server: str) -> None:
    with ExitStack() as stack:
        for _ in range(MAX_SOCKETS):
            assert stack.enter_context(page(live_server, "me")).first()["type"] == "catalog"
        another = stack.enter_context(page(live_server, "me"))
        assert f"{MAX_SOCKETS} connections" in another.first()["message"]
        assert stack.enter_context(page(live_server, "you")).first()["type"] == "catalog"
    wait_for_sessions(0)


def test_a_lane_returns_to_an_earlier_moment_and_branches_off(live_server: str) -> None:
    with page(live_server) as p:
        p.send("open", world="CliffWalk", agent="q-learning")
        p.receive("world")
        for _ in range(3):
            p.send("step")
        history = p.receive("history")
        while history["moments"][-1][1] < 3:
            history = p.receive("history")
        assert [steps for _, steps in history["moments"]] == [0, 1, 2, 3]
        p.send("seek", branch=0, moment=history["moments"][1][0])
        picture = p.receive("picture")
        while picture["newest"]:
            picture = p.receive("picture")
        assert (picture["steps"], picture["branch"]) == (1, 0)
        p.send("step")
        while picture["branch"] == 0:
            picture = p.receive("picture")
        assert picture["steps"] == 2
        p.send("seek", branch=7)
        answer = p.first()
        while answer["type"] != "error":
            answer = p.first()
        assert "no longer kept" in answer["message"]
        p.send("seek", branch=0)
        while picture["steps"] != 3:
            picture = p.receive("picture")
        assert picture["newest"]
