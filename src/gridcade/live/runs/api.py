"""The routes of the Runs page: tables as JSON, and the files of reports and videos."""

from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
from starlette.requests import Request
from starlette.responses import FileResponse, Response
from starlette.routing import Route

from gridcade.errors import InputError
from gridcade.live.runs.unreadable import UNREADABLE

if TYPE_CHECKING:  # imported only when the page is opened, because the import is slow
    from gridcade.live.runs.directory import RunsDirectory

MEDIA_TYPES = {".html": "text/html", ".mp4": "video/mp4", ".webp": "image/webp"}
# A report contains its own style and pictures. This policy gives it no origin and no scripts, so it
# cannot reach the page, its socket or the network.
REPORT_POLICY = (
    "sandbox; default-src 'none'; style-src 'unsafe-inline'; img-src data:; media-src data:; "
    "frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
)
NOT_FOUND = 404
MAX_DIGITS = 18  # of the parameter `after`; a number with this many digits or more counts as 0


def runs_routes(root: Path) -> list[Route]:
    """Create the routes below /runs/.

    Args:
        root: directory of the run folders.
    """

    @cache
    def runs() -> "RunsDirectory":
        from gridcade.live.runs.directory import RunsDirectory

        return RunsDirectory(root)

    def table(request: Request) -> object:
        del request
        return runs().table()

    def curves(request: Request) -> object:
        from gridcade.live.runs.curves import read_curves

        query = request.query_params
        after = query.get("after", "")
        lines = int(after) if after.isascii() and after.isdigit() and len(after) < MAX_DIGITS else 0
        return read_curves(runs().run(query.get("run", "")), lines, query.get("version", ""))

    def compare(request: Request) -> object:
        from gridcade.live.runs.details import compare_runs

        names = dict.fromkeys(request.query_params.getlist("run"))
        return compare_runs([(name, runs().run(name)) for name in names])

    def command(request: Request) -> object:
        from gridcade.training.train_command import train_command

        return {"command": train_command(runs().run(request.query_params.get("run", "")))}

    def file(request: Request) -> Response:
        try:
            found = runs().file(request.path_params["name"])
        except InputError as error:
            return _json({"error": str(error)}, NOT_FOUND)
        headers = {"Content-Security-Policy": REPORT_POLICY} if found.suffix == ".html" else {}
        return FileResponse(found, media_type=MEDIA_TYPES[found.suffix], headers=headers)

    tables = {"list": table, "curves": curves, "compare": compare, "command": command}
    return [
        *(Route(f"/runs/{name}", _endpoint(function)) for name, function in tables.items()),
        Route("/runs/file/{name:path}", file),
    ]


def _endpoint(function: Callable[[Request], object]) -> Callable[[Request], Response]:
    """Create an endpoint that answers with a table as JSON, or with an error of one line."""

    def endpoint(request: Request) -> Response:
        try:
            return _json(function(request))
        except InputError as error:
            return _json({"error": str(error)}, NOT_FOUND)
        except UNREADABLE as error:
            text = f"a file of a run cannot be read: {type(error).__name__}: {error}"
            return _json({"error": text}, NOT_FOUND)

    return endpoint


def _json(content: object, status: int = 200) -> Response:
    return Response(msgspec.json.encode(content), status, media_type="application/json")
