"""`gridcade solve --watch`: the sweeps of planning in the terminal."""

import re
from typing import Any

import pytest
from screens import ScriptedScreen, visible

import gridcade
from gridcade.cli.commands.solve import Solve
from gridcade.errors import InputError
from gridcade.viewing import playback, viewers


class Clock:
    """A clock that only sleeping advances."""

    now = 100.0

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


@pytest.fixture
def screen(monkeypatch: pytest.MonkeyPatch) -> ScriptedScreen:
    clock = Clock()

    class Timed(ScriptedScreen):
        def keys(self, timeout: float = 0.0) -> list[str]:
            clock.sleep(timeout)
            return super().keys(timeout)

    screen = Timed([])
    monkeypatch.setattr(viewers, "TerminalScreen", screen)
    monkeypatch.setattr(viewers, "time", clock)
    monkeypatch.setattr(playback, "time", clock)
    return screen


def shown(screen: ScriptedScreen) -> list[list[str]]:
    """The different screens, in their order, without colors."""
    screens = [[visible(line).rstrip() for line in lines] for lines in screen.shown]
    return [lines for lines, last in zip(screens, [[], *screens], strict=False) if lines != last]


def test_every_sweep_is_shown_and_then_the_solution(screen: ScriptedScreen, capsys: Any) -> None:
    Solve("RussellNorvig4x3", {"criterion": "discounted", "discount": 0.9}, watch=True).run()
    screens = shown(screen)
    sweeps = list(gridcade.sweeps("RussellNorvig4x3", "value-iteration", "discounted", 0.9))
    assert [lines[0] for lines in screens] == [sweeps[0].title] * len(sweeps)
    assert [lines[1] for lines in screens] == [
        f"{sweep.status}   {sweep.end}".rstrip() for sweep in sweeps
    ]
    drawn = "\n".join(screens[-1])
    assert "".join(sweeps[-1].drawing()).split() == "".join(screens[-1][3:12]).split()
    assert re.search(r"values from -?[\d.]+ to 0.8896 .*→ likeliest move", drawn)
    assert "(4 sweeps/s)" in drawn
    assert capsys.readouterr().out == f"{gridcade.solve('RussellNorvig4x3', 'discounted', 0.9)}\n"


def test_states_that_cannot_be_drawn_are_listed(screen: ScriptedScreen, capsys: Any) -> None:
    watching: Any = {"method": "policy-evaluation", "policy": "optimal"}
    Solve("FrozenLake-v1", watch=True, watching=watching).run()
    assert "state  14  value          0  action" in "\n".join(shown(screen)[0])
    printed = capsys.readouterr().out
    assert printed.startswith("policy evaluation on FrozenLake-v1: return\nsweep ")
    assert "converged" in printed


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"watching": {"fps": 2.0}}, "--fps needs --watch"),
        ({"watch": True, "json": True}, "--json prints only JSON"),
        ({"watch": True, "watching": {"fps": 0.0}}, "fps is 0"),
        ({"watch": True}, "no terminal to watch in; gridcade.sweeps"),
    ],
)
def test_bad_options_are_errors(options: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        Solve("CliffWalk", **options).run()
