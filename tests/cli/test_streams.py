"""The standard streams: encodings that lack some characters, a full disk, closed streams."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from command_line import SMALL

COMMAND = [sys.executable, "-m", "gridcade.cli.main"]
COMMANDS = {  # every command that prints, with little work
    "help": "--help",
    "train help": "train q-learning FourRooms --help",
    "version": "--version",
    "list": "list",
    "list envs": "list envs",
    "list presets": "list presets dqn",
    "list runs": "list runs --sort score",
    "solve": f"solve {SMALL}",
    "solve others": "solve FrozenLake-v1",
    "solve map": "solve мир.txt",
    "check": f"check {SMALL}",
    "train": f"train q-learning {SMALL} --steps 2000 --out new",
    "resume": "resume runs/one --steps 4000",
    "evaluate": "evaluate runs/one --episodes 5",
    "watch": "watch runs/one --episodes 1 --video run.webp",
    "compare": f"compare random optimal --env {SMALL} --episodes 5 --jobs 1",
    "play": f"play {SMALL}",  # an error, because there is no terminal
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("streams")
    (folder / "мир.txt").write_text("title: Größe → мир\nmap:\nS..G\n", encoding="utf-8")
    run(f"train q-learning {SMALL} --steps 2000 --out runs/one", folder)
    return folder


def run(
    words: str, folder: Path, stdout: int | None = None, **environment: str
) -> "subprocess.CompletedProcess[bytes]":
    for made in ("new", "studies"):
        shutil.rmtree(folder / made, ignore_errors=True)
    env = {k: v for k, v in os.environ.items() if k not in ("PYTHONIOENCODING", "PYTHONUTF8")}
    return subprocess.run(
        [*COMMAND, *words.split()],
        cwd=folder,
        env=env | environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE if stdout is None else stdout,
        stderr=subprocess.PIPE,
        timeout=120,
    )


@pytest.mark.slow
@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "cp1252"])
@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_prints_in_every_encoding(name: str, encoding: str, folder: Path) -> None:
    done = run(COMMANDS[name], folder, PYTHONIOENCODING=encoding)
    assert b"Traceback" not in done.stderr
    assert done.returncode == (2 if name == "play" else 0), done.stderr
    done.stdout.decode(encoding)


@pytest.mark.slow
@pytest.mark.skipif(not Path("/dev/full").exists(), reason="only Linux has /dev/full")
@pytest.mark.parametrize(
    ("name", "unbuffered"), [*((name, "") for name in COMMANDS), ("list", "1"), ("train", "1")]
)
def test_a_full_disk_is_one_line(name: str, unbuffered: str, folder: Path) -> None:
    with open("/dev/full", "wb") as full:
        done = run(COMMANDS[name], folder, full.fileno(), PYTHONUNBUFFERED=unbuffered)
    lines = done.stderr.decode().splitlines()
    if name == "play":
        assert (done.returncode, len(lines)) == (2, 1)
        return
    assert lines[-1] == "gridcade: cannot write the output: No space left on device"
    assert done.returncode == 1
    assert b"Traceback" not in done.stderr


def test_a_full_disk_while_solving_is_one_line(folder: Path) -> None:
    test_a_full_disk_is_one_line("solve", "", folder)


def test_arrows_are_drawn_in_ascii(folder: Path) -> None:
    done = run(f"solve {SMALL}", folder, PYTHONIOENCODING="ascii")
    assert (done.returncode, done.stderr) == (0, b"")
    assert b">" in done.stdout
    assert b"?" not in done.stdout


@pytest.mark.skipif(os.name == "nt", reason="closes streams in a POSIX shell")
@pytest.mark.parametrize("words", ["list", f"train q-learning {SMALL} --out new"])
def test_a_closed_output_is_one_line(words: str, folder: Path) -> None:
    shell = ["sh", "-c", f"{sys.executable} -m gridcade.cli.main {words} >&-"]
    done = subprocess.run(shell, cwd=folder, capture_output=True)
    assert done.stderr == b"gridcade: the standard output is closed\n"
    assert done.returncode == 1
    assert not (folder / "new").exists()


@pytest.mark.skipif(os.name == "nt", reason="closes streams in a POSIX shell")
def test_closed_errors_do_not_reach_the_output(folder: Path) -> None:
    words = f"evaluate random --env {SMALL} --episodes 5 --json"
    command = f"{sys.executable} -m gridcade.cli.main"
    shell = ["sh", "-c", f"{command} {words} 2>&- <&- && {command} frobnicate 2>&-"]
    done = subprocess.run(shell, cwd=folder, capture_output=True)
    assert done.stdout.startswith(b"{")
    assert done.stdout.count(b"\n") == 1
    assert done.returncode == 2
