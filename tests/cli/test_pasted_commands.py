"""Printed commands are quoted, so that a user can paste them whatever the names in them."""

import re
import shlex
from pathlib import Path

import pytest
from command_line import Gridcade

from gridcade.formatting import shell_command

pytest_plugins = ("command_line_fixtures",)

RUN = "my runs/it's [1] & $HOME"
MAP = "my world (1).txt"


def commands(text: str) -> list[list[str]]:
    """The words of each printed command, as a shell splits them."""
    return [shlex.split(command) for command in re.findall(r"(?:gridcade|rm -r) .*", text)]


def test_printed_commands_can_be_pasted(gridcade: Gridcade) -> None:
    Path(MAP).write_text("step reward: -1\nmap:\nS....\n.....\n....G\n")
    trained = gridcade("train", "q-learning", MAP, "--steps", 300, "--out", RUN)
    assert [c[:3] for c in commands(trained.out)] == [
        ["gridcade", verb, RUN] for verb in ("evaluate", "watch", "resume")
    ]
    finished = gridcade("resume", RUN)
    assert commands(finished.out)[0][:3] == ["gridcade", "resume", RUN]
    again = gridcade("train", "q-learning", MAP, "--steps", 300, "--out", RUN)
    assert commands(again.err.partition("continue it: ")[2]) == [["gridcade", "resume", RUN]]
    wrong = gridcade("evaluate", RUN, "--env", "RussellNorvig4x3")
    assert commands(wrong.err.partition("train one there: ")[2]) == [
        ["gridcade", "train", "q-learning", "RussellNorvig4x3"]
    ]
    order = gridcade("train", MAP, "q-learning")
    assert commands(order.err.partition("first: ")[2]) == [["gridcade", "train", "q-learning", MAP]]
    removed = gridcade("rm", RUN)
    assert commands(removed.err.partition("folder: ")[2]) == [["rm", "-r", RUN]]
    for policy in ("evaluate", "compare"):
        named = gridcade(policy, MAP)
        assert shlex.split(named.err.partition("--env ")[2].partition(" (Python")[0]) == [MAP]


def test_commands_are_quoted_for_the_shell_of_the_system(monkeypatch: pytest.MonkeyPatch) -> None:
    words = ("gridcade", "watch", Path("my runs"), "--fps", 5)
    assert shell_command(*words) == "gridcade watch 'my runs' --fps 5"
    monkeypatch.setattr("gridcade.formatting.os.name", "nt")
    assert shell_command("gridcade", "watch", "my runs") == 'gridcade watch "my runs"'
