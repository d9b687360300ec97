"""`gridcade serve`."""

import socket
import threading
import webbrowser
from dataclasses import dataclass
from errno import EACCES, EADDRINUSE
from pathlib import Path
from typing import Annotated

from tyro.conf import Positional, arg

from gridcade.cli.command import Command
from gridcade.errors import InputError
from gridcade.serve.server import Server


@dataclass
class Serve(Command):
    """Arguments and options of `gridcade serve`.

    $ gridcade serve
    $ gridcade serve my-runs --port 9000 --no-browser

    Ctrl-C stops the server, and all that learns in it.
    """

    runs: Annotated[Positional[Path], arg(metavar="[RUNS]", help_behavior_hint="")] = Path("runs")
    """Directory of the run folders that the page shows. Default: runs."""
    host: Annotated[str, arg(metavar="ADDRESS")] = "127.0.0.1"
    """Address to which the server is bound. 0.0.0.0 serves other machines too; the page's address
    then has a token."""
    port: Annotated[int, arg(metavar="N")] = 8765
    """Port. 0: any that is free."""
    no_browser: Annotated[bool, arg(help_behavior_hint="")] = False
    """Only print the page's address, and open no browser."""

    trust: Annotated[bool, arg(help_behavior_hint="")] = False
    """Also offer models of stable-baselines3 (*.zip) in RUNS. Loading one can run any code."""

    def run(self) -> None:
        """Serve the live page until Ctrl-C."""
        if not 0 <= self.port <= 65535:
            raise InputError(f"port is {self.port}; it must be from 0 to 65535")
        family = socket.AF_INET6 if ":" in self.host else socket.AF_INET
        with socket.socket(family) as bound:
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                bound.bind((self.host, self.port))
            except OSError as error:
                advice = "; try --port 0" if error.errno in (EADDRINUSE, EACCES) else ""
                raise InputError(
                    f"cannot serve at {self.host}, port {self.port}: {error.strerror}{advice}"
                ) from None
            server = Server(self.host, bound.getsockname()[1], self.runs, self.trust)
            print(f"live page: {server.address}   (Ctrl-C stops it)", flush=True)
            if not self.no_browser:
                threading.Timer(1.0, webbrowser.open, [server.address]).start()
            server.runner().run(sockets=[bound])
