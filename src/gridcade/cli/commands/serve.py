"""`gridcade serve`."""

import threading
import webbrowser
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from tyro.conf import Positional, arg

from gridcade.cli.command import Command
from gridcade.errors import InputError
from gridcade.live.listening import listen
from gridcade.live.server import Server
from gridcade.training.run_names import RUNS


@dataclass
class Serve(Command):
    """Arguments and options of `gridcade serve`.

    $ gridcade serve
    $ gridcade serve my-runs --port 9000 --no-browser

    Ctrl-C stops the server and all learning in it.
    """

    runs: Annotated[Positional[Path], arg(metavar="[RUNS]", help_behavior_hint="")] = RUNS
    """Directory of the run folders that the page shows. Default: runs."""
    host: Annotated[str, arg(metavar="ADDRESS")] = "127.0.0.1"
    """Address to which the server is bound. 0.0.0.0 serves other machines too; the page's address
    then contains a token."""
    port: Annotated[int, arg(metavar="N")] = 8765
    """Port. 0: any free port."""
    no_browser: Annotated[bool, arg(help_behavior_hint="")] = False
    """Only print the page's address, and open no browser."""

    trust: Annotated[bool, arg(help_behavior_hint="")] = False
    """Also offer models of stable-baselines3 (*.zip) in RUNS, and run the code of environments in
    which somebody else trained runs. Both can run any code."""

    def run(self) -> None:
        """Serve the live page until Ctrl-C."""
        if self.runs != RUNS and not self.runs.is_dir():
            raise InputError(f"cannot show the runs in '{self.runs}': there is no such directory")
        with listen(self.host, self.port) as bound:
            server = Server(self.host, bound.getsockname()[1], self.runs, trust=self.trust)
            print(f"live page: {server.address}   (Ctrl-C stops it)", flush=True)
            if not self.no_browser:
                threading.Timer(1.0, webbrowser.open, [server.address]).start()
            server.runner().run(sockets=[bound])
