"""The command line in a process of its own: terminals, signals, pipes and missing displays."""

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pexpect
import pytest
from command_line import SMALL, Gridcade, contents

from gridcade.training.run_folder import Run

pytest_plugins = ("command_line_fixtures",)

COMMAND = [sys.executable, "-m", "gridcade.cli.main"]
DISPLAYS = ("SDL_VIDEODRIVER", "DISPLAY", "WAYLAND_DISPLAY", "XDG_RUNTIME_DIR")
BAR = re.compile(
    r"[━╸╺]+ +(\d+)% ([\d.]+)k steps  ([\d.]+)k/s (\d\d:\d\d|--:--|\d:\d\d:\d\d) "
    r"greedy: return (\S+)"
)


def test_training_shows_a_bar_and_ctrl_c_leaves_a_run_to_resume(
    gridcade: Gridcade, folder: Path
) -> None:
    words = f"train q-learning {SMALL} --steps 200_000 --epoch 5000 --envs 2 --out run"
    env = {**os.environ, "TERM": "xterm-256color"}
    env.pop("COLUMNS")
    child: Any = pexpect.spawn(
        sys.executable,
        [*COMMAND[1:], *words.split()],
        encoding="utf-8",
        dimensions=(24, 80),
        timeout=250,
        env=env,
        cwd=str(folder),
    )
    child.expect(r"[3-9]\d%")
    text = child.before
    child.sendintr()
    child.expect(pexpect.EOF)
    child.close()
    assert child.exitstatus == 130

    text = re.sub(r"\x1b\[[?0-9;]*[A-Za-z]", "", text)
    lines = [line.strip() for line in re.split(r"[\r\n]+", text) if "━" in line]
    assert max(map(len, lines)) <= 80
    assert not [line for line in lines if "…" in line]  # nothing was cut off
    bars = [match.groups() for line in lines if (match := BAR.fullmatch(line))]
    assert len(bars) > 3
    percents = [int(groups[0]) for groups in bars]
    assert percents == sorted(percents)
    for percent, steps, speed, _, _ in bars:
        assert float(steps) == pytest.approx(2 * int(percent), abs=2)
        assert float(speed) > 0.1

    stopped = Run("run").last_checkpoint()
    assert 0 < stopped < 200_000
    assert f"stopped after {stopped:,} steps" in child.before
    assert "gridcade resume run\r\n" in child.before
    end = stopped // 5000 * 5000 + 10_000
    assert gridcade("resume", "run", "--steps", end)[::2] == (0, "")
    assert [m["steps"] for m in Run("run").metrics()] == list(range(5000, end + 1, 5000))


TRAIN = "train q-learning RussellNorvig4x3 --steps 1e9 --epoch 2e4 --envs 2 --out run"


def test_a_closed_terminal_leaves_a_run_to_resume(folder: Path) -> None:
    """For example, when an ssh connection is closed."""
    child: Any = pexpect.spawn(
        sys.executable, [*COMMAND[1:], *TRAIN.split()], cwd=str(folder), timeout=250
    )
    child.expect("k/s")
    # This closes only the terminal, and the kernel sends SIGHUP. `child.close` would send more
    # signals if the child does not end at once, and the second one interrupts a checkpoint.
    child.ptyproc.fileobj.close()
    child.wait()
    assert Run("run").last_checkpoint() > 0


@contextmanager
def training(folder: Path, command: list[str]) -> Iterator[subprocess.Popen[bytes]]:
    """Start a training in a process of its own, and wait until its first checkpoint is saved."""
    with subprocess.Popen(
        [*command, *TRAIN.split()], cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    ) as process:
        try:
            while not (folder / "run" / "checkpoints" / "0").is_dir():
                assert process.poll() is None
                time.sleep(0.05)
            time.sleep(0.5)
            yield process
        finally:
            process.kill()  # a failed test would wait for 1e9 steps


def check_end(process: subprocess.Popen[bytes], ignored: bool) -> None:
    """Check that a signal has ended a training, or was ignored and SIGTERM ends it; it is saved."""
    if ignored:
        time.sleep(1)
        assert process.poll() is None
        process.send_signal(signal.SIGTERM)
    assert process.wait() == 130
    assert Run("run").last_checkpoint() > 0


@pytest.mark.parametrize("ignored", [False, True])
def test_sighup_saves_unless_nohup_ignores_it(ignored: bool, folder: Path) -> None:
    command = ["nohup", *COMMAND] if ignored else COMMAND
    with training(folder, command) as process:
        for _ in range(3):  # the kernel and the shell may both send it
            process.send_signal(signal.SIGHUP)
        check_end(process, ignored)


@pytest.mark.parametrize("ignored", [False, True])
def test_ctrl_c_saves_unless_the_job_runs_in_the_background_of_a_script(
    ignored: bool, folder: Path
) -> None:
    """Shells let such jobs ignore Ctrl-C, because it is meant for the job in the foreground."""
    shell = ["sh", "-c", 'trap "" INT; exec "$@"', "sh"] if ignored else []
    with training(folder, [*shell, *COMMAND]) as process:
        process.send_signal(signal.SIGINT)
        check_end(process, ignored)


def test_a_pipe_that_is_closed_during_training_leaves_a_run_to_resume(folder: Path) -> None:
    with subprocess.Popen(
        [*COMMAND, *TRAIN.split()], cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    ) as process:
        assert process.stdout is not None
        process.stdout.close()
        process.wait()
    assert Run("run").checkpoints() != []


INTERRUPTED_IMPORT = """
import os, signal, sys
import gridcade_command

class Interrupt:
    def find_spec(self, name, *rest):
        if name == {module!r}:
            os.kill(os.getpid(), signal.SIGINT)

sys.meta_path.insert(0, Interrupt())
sys.argv[1:] = ["list", "agents"]
gridcade_command.main()
"""


@pytest.mark.parametrize("module", ["gridcade", "gymnasium", "rich", "gridcade.cli.commands.list"])
def test_ctrl_c_while_the_program_loads_ends_it_without_a_traceback(module: str) -> None:
    script = INTERRUPTED_IMPORT.format(module=module)
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "gridcade: interrupted\n")


OUTSIDE_A_COMMAND = {  # when Ctrl-C arrives -> the line of Python that sends it
    "before": "re.sub = lambda *_: os.kill(os.getpid(), signal.SIGINT)",
    "between": "streams.prepare = lambda: os.kill(os.getpid(), signal.SIGINT)",
    "after": "atexit.register(os.kill, os.getpid(), signal.SIGINT)",
}


@pytest.mark.parametrize("where", OUTSIDE_A_COMMAND)
def test_ctrl_c_outside_a_command_ends_the_program_without_a_traceback(where: str) -> None:
    """In a script like that of pip: before `main`, within it, and while Python ends."""
    script = f"""
import atexit, os, re, signal, sys
from gridcade_command import main
from gridcade.cli import streams
{OUTSIDE_A_COMMAND[where]}
sys.argv = [re.sub("exe", "", sys.argv[0]), "--version"]
sys.exit(main())
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    if where == "after":
        assert (done.returncode, done.stderr) == (-signal.SIGINT, "")
        assert done.stdout.startswith("gridcade ")
    else:
        assert (done.returncode, done.stdout, done.stderr) == (130, "", "gridcade: interrupted\n")


def test_closed_pipe_is_not_an_error() -> None:
    reader, writer = os.pipe()
    os.close(reader)  # as `head` does at its end
    words = [*COMMAND, "list", "agents"]
    process = subprocess.Popen(words, stdout=writer, stderr=subprocess.PIPE, text=True)
    os.close(writer)
    _, err = process.communicate(timeout=250)
    assert (process.returncode, err) == (1, "")


def run_without_display(driver: str | None, *words: str) -> "subprocess.CompletedProcess[str]":
    """Run the command where no display exists, with a video driver of SDL."""
    env = {key: value for key, value in os.environ.items() if key not in DISPLAYS}
    if driver is not None:
        env["SDL_VIDEODRIVER"] = driver
    return subprocess.run([*COMMAND, *words], env=env, capture_output=True, text=True, timeout=250)


def test_video_needs_no_display(folder: Path) -> None:
    pytest.importorskip("pygame")
    words = "watch random --env CartPole --video film.webp --episodes 1"
    done = run_without_display(None, *words.split())
    assert (done.returncode, done.stderr) == (0, "")
    assert (folder / "film.webp").is_file()


@pytest.mark.parametrize("driver", ["nonsense", pytest.param(None, marks=pytest.mark.slow)])
def test_window_needs_a_display(driver: str | None, folder: Path) -> None:
    pytest.importorskip("pygame")
    words = "watch random --env FourRooms --in window --video film.webp"
    done = run_without_display(driver, *words.split())
    assert (done.returncode, done.stdout) == (2, "")
    assert "Traceback" not in done.stderr
    assert "gridcade: " in done.stderr
    assert "open a window" in done.stderr
    assert not contents(folder)
