"""Help: it fits the terminal, names every option, and loads little."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
from command_line import Gridcade

from gridcade.cli import main

pytest_plugins = ("command_line_fixtures",)

# NumPy is imported by Gymnasium, with which `import gridcade` registers its environments.
HEAVY = ("torch", "numba", "scipy", "ale_py", "stable_baselines3", "matplotlib", "rich.live")


def test_help_imports_no_numerical_library() -> None:
    program = (
        "import sys\nfrom gridcade.cli import main\nsys.argv = ['gridcade', '--help']\n"
        f"main.main()\nprint([m for m in {HEAVY} if m in sys.modules], file=sys.stderr)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=250
    )
    assert (done.returncode, done.stderr) == (0, "[]\n")
    assert all(f"\n  {name} " in done.stdout for name in main.COMMANDS)


@pytest.mark.parametrize("width", [60, 80, 120])
def test_help_fits_the_terminal(
    gridcade: Gridcade, monkeypatch: pytest.MonkeyPatch, width: int
) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    for words in ([], *([name] for name in main.COMMANDS), ["train", "q-learning", "FourRooms"]):
        result = gridcade(*words, "--help")
        assert result[::2] == (0, "")
        lines = [x for x in result.out.splitlines() if "$ gridcade" not in x]
        text = [line for line in lines if not line.startswith("usage:")]
        assert max(map(len, text)) <= width
        assert "$ gridcade" in result.out or words[0] == "demo"  # an example


def test_help_is_printed_without_arguments(gridcade: Gridcade) -> None:
    assert gridcade() == gridcade("--help") == gridcade("-h")


@pytest.mark.parametrize(
    ("command", "options"),
    [
        ("train", "--preset NAME|--config FILE|--steps N|--minutes X|--out DIR|--init-from POLICY"),
        ("resume", "RUN|--steps N|--minutes X"),
        ("evaluate", "POLICY|--env ENV|--trust|--precision X|--stochastic|--seed N|--json"),
        ("compare", "--steps N|--criterion {return,average-reward}|--backend {loky,ray,dask}"),
        ("solve", "ENV|--criterion {return,discounted,average-reward}|--discount X|--json"),
        ("watch", "--in {terminal,window}|--video FILE|--fps X|--episodes N|--trust"),
        ("demo", "--out DIR"),
    ],
)
def test_help_names_options_and_their_units(gridcade: Gridcade, command: str, options: str) -> None:
    text = gridcade(command, "--help").out
    for option in options.split("|"):
        assert re.search(rf"[ │]{re.escape(option)}[ │\n]", text), option
    assert not [word for word in ("None", "unset by default", "{gain") if word in text]


def test_help_shows_hyperparameters_as_preset_and_config_set_them(
    gridcade: Gridcade, folder: Path
) -> None:
    def defaults(*words: object) -> dict[str, str]:
        result = gridcade("train", *words, "--help")
        assert result[::2] == (0, "")
        text = " ".join(result.out.replace("│", " ").split())
        options = (option.partition(" ") for option in text.split("--")[1:])
        found = {name: re.search(r"\(default: (\S+)\)", rest) for name, _, rest in options}
        return {name: match[1] for name, match in found.items() if match}

    assert "step-size.initial" not in defaults()
    default = defaults("q-learning")
    assert default["step-size.initial"] == "0.5"
    assert default["initial-value"] == "1.0"
    assert defaults("q-learning", "FourRooms", "--preset", "watkins") == default
    other = defaults("q-learning", "FourRooms", "--preset=converging")
    assert (other["step-size.initial"], other["step-size.power"]) == ("1.0", "0.7")
    (folder / "my.toml").write_text("[hyperparameters]\nstep_size = {initial = 0.125}\n")
    mine = defaults("q-learning", "--config", "my.toml")
    assert (mine["step-size.initial"], mine["step-size.power"]) == ("0.125", "0.0")
