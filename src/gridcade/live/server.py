"""The server of the live page: sends static files, and connects each page to its process.

By default, the server accepts connections from this machine only. If it accepts others, the address
must contain a token. The page may load nothing from other servers (Content-Security-Policy), and
other pages may not use the WebSocket (Origin) or reach the server under another name (Host).
"""

import asyncio
import multiprocessing
import secrets
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import suppress
from functools import partial
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path
from socket import gethostname
from time import monotonic
from urllib.parse import urlsplit

import uvicorn
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.base import BaseHTTPMiddleware
from starlette.requests import Request
from starlette.responses import FileResponse, PlainTextResponse, Response
from starlette.routing import Mount, Route, WebSocketRoute
from starlette.staticfiles import StaticFiles
from starlette.websockets import WebSocket, WebSocketDisconnect

from gridcade.live.arcade import process as arcade_process
from gridcade.live.messages import MAX_MESSAGE, RECEIVED, encode
from gridcade.live.runs.api import runs_routes
from gridcade.live.world import process as lane_process
from gridcade.live.world.catalog import catalog_message

STATIC = Path(__file__).parent / "static"
LOOPBACK = ("127.0.0.1", "localhost", "::1")
PAGES = {"/": "world", "/arcade": "arcade", "/runs": "runs"}  # path -> folder in STATIC
MAX_VIEWERS = 5
MAX_SOCKETS = 2  # of one viewer
MESSAGES_PER_SECOND = 50  # of one viewer, on average
BURST = 200  # messages
SESSION_NAME = "live session"  # of each page's process
LONGEST_END = 5.0  # seconds that a process may take to end
POLICY = "default-src 'self'; img-src 'self' data: blob:; base-uri 'none'; form-action 'none'"
HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-cache",
}


class Server:
    """The web application of the live page, with its token and the number of its viewers.

    Args:
        host: address to which the server is bound.
        port: port to which it is bound.
        runs: directory of the run folders that the page shows.
        trust: whether to load models of stable-baselines3 from that directory; loading one can run
            any code.
        framed_by: addresses of pages that may show this one in a frame, in the syntax of the policy
            `frame-ancestors`.
    """

    def __init__(
        self,
        host: str,
        port: int,
        runs: Path,
        *,
        trust: bool = False,
        framed_by: str = "'none'",
    ):
        self.host, self.port, self.runs, self.trust = host, port, runs, trust
        policy = f"{POLICY}; frame-ancestors {framed_by}"
        self._headers = HEADERS | {"Content-Security-Policy": policy}
        self.token = "" if host in LOOPBACK else secrets.token_urlsafe(16)
        self._viewers: Counter[str] = Counter()  # name of a viewer -> its sockets
        self.app = Starlette(
            routes=[
                *(Route(path, page(folder)) for path, folder in PAGES.items()),
                *runs_routes(runs),
                WebSocketRoute("/live", self._live),
                WebSocketRoute("/arcade/live", self._arcade_live),
                Mount("/static", StaticFiles(directory=STATIC)),
            ],
            middleware=[Middleware(BaseHTTPMiddleware, dispatch=self._guard)],
        )

    @property
    def address(self) -> str:
        """The address of the page, with the token if the server requires one."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        if self.host in ("0.0.0.0", "::"):  # noqa: S104 - these are all addresses
            host = gethostname()
        return f"http://{host}:{self.port}/" + (f"?token={self.token}" if self.token else "")

    def runner(self) -> uvicorn.Server:
        """Create the uvicorn server that runs the application on a bound socket."""
        # On one machine, compressing a picture takes longer than sending it uncompressed.
        return uvicorn.Server(
            uvicorn.Config(
                self.app,
                log_level="warning",
                ws_max_size=MAX_MESSAGE,
                ws_per_message_deflate=False,
                lifespan="off",
            )
        )

    async def _guard(
        self, request: Request, call_next: Callable[[Request], Awaitable[Response]]
    ) -> Response:
        """Refuse requests with a wrong host or token, and set the headers of all answers."""
        if not self._knows_host(request.headers.get("host", "")):
            return PlainTextResponse("unknown host", 403)
        public = request.url.path.startswith("/static/")
        if not (public or self._has_token(request.query_params.get("token", ""))):
            return PlainTextResponse(
                "no valid token: open the address that gridcade serve printed", 403
            )
        response = await call_next(request)
        for name, value in self._headers.items():
            response.headers.setdefault(name, value)
        return response

    def _knows_host(self, header: str) -> bool:
        """Whether a Host header names this server; any name is valid if a token is required."""
        name = _hostname(f"//{header}")
        return name in LOOPBACK or bool(self.token)

    def _has_token(self, token: str) -> bool:
        return not self.token or secrets.compare_digest(token.encode(), self.token.encode())

    # ---- viewers

    async def _live(self, socket: WebSocket) -> None:
        """Serve a lane of the World page."""
        await self._serve(socket, lane_process.main, catalog_message)

    async def _arcade_live(self, socket: WebSocket) -> None:
        """Serve a session of the Arcade page."""
        main = partial(arcade_process.main, runs=self.runs, trust=self.trust)
        await self._serve(socket, main, lambda: encode("starting"))

    async def _serve(
        self,
        socket: WebSocket,
        main: Callable[[Connection], None],
        first_message: Callable[[], bytes],
    ) -> None:
        """Serve one socket: start a process that runs `main`, and forward the messages."""
        origin = socket.headers.get("origin", "").partition("://")[2]
        host = socket.headers.get("host", "")
        permitted = self._knows_host(host) and self._has_token(socket.query_params.get("token", ""))
        if origin != host or not permitted:
            await socket.close(4403)
            return
        await socket.accept()
        viewer = socket.query_params.get("viewer") or secrets.token_hex()
        if reason := self._no_room(viewer):
            await socket.send_text(encode("error", message=reason).decode())
            await socket.close(4429)
            return
        self._viewers[viewer] += 1
        try:
            await socket.send_text(first_message().decode())
            await Session(socket, main).serve()
        finally:
            self._viewers[viewer] -= 1
            self._viewers += Counter()  # drops viewers without sockets
        with suppress(RuntimeError, WebSocketDisconnect):  # the socket is closed already
            await socket.close()

    def _no_room(self, viewer: str) -> str:
        """Return why a viewer cannot have another socket; "" if it can."""
        if self._viewers[viewer] >= MAX_SOCKETS:
            return f"this page already has {MAX_SOCKETS} connections"
        if viewer not in self._viewers and len(self._viewers) >= MAX_VIEWERS:
            return f"the server already has {MAX_VIEWERS} viewers; try again when one has left"
        return ""


def _hostname(address: str) -> str:
    """Return the name of the machine in an address; "" if the address is malformed."""
    with suppress(ValueError):
        return urlsplit(address).hostname or ""
    return ""


def page(folder: str) -> Callable[[Request], Response]:
    """Create the endpoint of a page."""

    def endpoint(request: Request) -> Response:
        del request
        return FileResponse(STATIC / folder / "index.html")

    return endpoint


class Session:
    """One socket of a page, and the process behind it.

    Args:
        socket: WebSocket to the page.
        main: function that the process runs; its argument is its end of a pipe to the server.
    """

    def __init__(self, socket: WebSocket, main: Callable[[Connection], None]):
        self._socket, self._main = socket, main
        self._credit, self._refilled = float(BURST), monotonic()

    async def serve(self) -> None:
        """Forward messages until the page or the process ends."""
        context = multiprocessing.get_context("spawn")
        ours, theirs = context.Pipe()
        process = context.Process(target=self._main, args=(theirs,), name=SESSION_NAME, daemon=True)
        await asyncio.to_thread(process.start)
        theirs.close()
        tasks = [
            asyncio.create_task(self._from_page(ours)),
            asyncio.create_task(self._from_process(ours)),
        ]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            ours.close()  # this ends the process
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await self._join(process)

    async def _join(self, process: BaseProcess) -> None:
        """Wait until the process ends. No thread waits: none can start while Python exits."""
        end = monotonic() + LONGEST_END
        while process.is_alive() and monotonic() < end:
            await asyncio.sleep(0.02)
        if process.is_alive():
            process.kill()
        process.join()

    async def _from_page(self, process: Connection) -> None:
        """Send the page's messages to the process; end if they are too many or too long."""
        with suppress(WebSocketDisconnect):
            while True:
                text = await self._socket.receive_text()
                if len(text) > MAX_MESSAGE or not self._take_credit():
                    await self._socket.send_text(
                        encode(
                            "error", message="the page sent too many messages, or too long ones"
                        ).decode()
                    )
                    return
                await asyncio.to_thread(process.send_bytes, text.encode())

    def _take_credit(self) -> bool:
        """Count a message, and return whether the rate of messages is within the limits."""
        now = monotonic()
        refill = (now - self._refilled) * MESSAGES_PER_SECOND
        self._credit, self._refilled = min(float(BURST), self._credit + refill) - 1, now
        return self._credit >= 0

    async def _from_process(self, process: Connection) -> None:
        """Send the process's messages to the page, and confirm each picture to the process.

        A message that is not JSON is a picture in bytes.
        """
        with suppress(EOFError, OSError, WebSocketDisconnect):
            while True:
                while not await asyncio.to_thread(process.poll, 0.2):
                    pass
                message = process.recv_bytes()
                if message.startswith(b"{"):
                    await self._socket.send_text(message.decode())
                else:
                    await self._socket.send_bytes(message)
                if not message.startswith(b"{") or message.startswith(b'{"type":"picture"'):
                    process.send_bytes(RECEIVED)
