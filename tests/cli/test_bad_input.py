"""Bad input: one clear message, exit code 2, and nothing is changed.

Each function that raises an error has tests of its own. Here each kind of error passes through the
whole command line once.
"""

import os
import re
import resource
import shutil
from pathlib import Path

import pytest
from command_line import SMALL, Gridcade, Result, contents

from gridcade.training.run_folder import Run

pytest_plugins = ("command_line_fixtures",)

BAD = {  # words -> parts of the message, separated by |
    # errors of the command line itself
    "frobnicate": "unknown command 'frobnicate'|train",
    "evalaute random": "'evalaute'|did you mean evaluate?",
    "--frobnicate": "--frobnicate",
    "eval run --seed 3": "unknown command 'eval'; write: gridcade evaluate run --seed 3",
    "show run": "write: gridcade watch run",
    "ls runs": "write: gridcade list runs",
    "envs": "write: gridcade list envs",
    "help train": "write: gridcade train --help",
    "rm run": "unknown command 'rm'; remove the folder: rm -r run",
    "delete mine": "remove the folder: rm -r runs/mine",
    "remove -r": "remove the folder: rm -r runs/NAME",
    "list agent": "unknown section 'agent'; did you mean agents?",
    "list run": "did you mean runs?",
    "list envs dqn": "cannot list envs of 'dqn'",
    "list presets dqm": "unknown agent 'dqm'; did you mean dqn?",
    "train": "missing AGENT and ENV; write: gridcade train AGENT ENV; help: gridcade train --help",
    "train q-learning FourRooms --stpes 5": "--stpes|--steps",
    "train q-learning FourRooms --gamma 0.9": "--gamma; q-learning calls it --discount; all its "
    "options: gridcade train q-learning FourRooms --help",
    "train --lr 0.5 q-learning FourRooms --discount x": "--lr; q-learning calls it --step-size",
    "train q-learning FourRooms --episodes 9": "--episodes; a run's budget is --steps or --minutes",
    "train dqn CartPole --fast": "--fast; it is on unless --no-fast is given",
    "train dqn CartPole --no-bfloat16": "--no-bfloat16; it is off unless --bfloat16 is given",
    "train q-learning --env FourRooms": "--env; write the value without it: gridcade train AGENT",
    "train q-learning FourRooms -steps 5": "unknown option -steps; did you mean --steps?",
    "train q-learning FourRooms --zzz": "option --zzz; all its options: gridcade train q-learning",
    "train q-learning FourRooms CliffWalk": "unexpected argument 'CliffWalk'",
    "train q-learning FourRooms --steps 1.5": "--steps: '1.5' is not a whole number, such as "
    "100_000 or 1e5",
    "train q-learning FourRooms --minutes 1m": "--minutes: '1m' is not a number, such as 0.5",
    "train q-learning FourRooms --epsilon.final x": "--epsilon.final: 'x' is not a number, such as",
    "train dqn CartPole --hidden 3 x": "--hidden: cannot read '3', 'x'",
    "train q-learning FourRooms --steps 1e300": "--steps|'1e300' is not a whole number",
    "train q-learning FourRooms --epsilon 2": "epsilon.initial is 2.0",
    "train dqn --gamma 0.9 CartPole": "--gamma; dqn calls it --discount; all its options: gridcade "
    "train dqn --help",
    "train FourRooms q-learning --steps 9": "the agent comes first: gridcade train q-learning Four",
    "train q-lerning FourRooms --gamma 1": "unknown agent 'q-lerning'; did you mean q-learning?",
    "train q-learning FourRooms --n-envs 2": "--n-envs; q-learning calls it --envs",
    "resume run --seed 3": "unknown option --seed; all options: gridcade resume --help",
    "compare q-learning --env FourRooms --discount 0.9": "--discount; hyperparameters are set in "
    'brackets: "q-learning[discount=0.9]"; all options',
    "evaluate random FourRooms": "unexpected argument 'FourRooms'; did you mean --env FourRooms?",
    "evaluate q-learning --env FourRooms": "'q-learning' is an agent, not a policy: gridcade train",
    "evaluate run/checkpoints": "'run/checkpoints' is not a run folder|did you mean run?",
    "evaluate random --env FourRooms --n_episodes=9": "gridcade evaluate calls it --episodes; all "
    "options: gridcade evaluate --help",
    "compare random --env FourRooms --seed 9": "--seed; gridcade compare calls it --seeds",
    "serve --no-open": "--no-open; gridcade serve calls it --no-browser",
    "train q-learning FourRooms --epsilon.finale 0.5": "--epsilon.finale|--epsilon.final",
    "train q-learning FourRooms --steps": "--steps needs a value",
    "train q-learning FourRooms --steps ten": "--steps|'ten'",
    "train q-learning Maze --env.size --steps 5": "--env.size needs a value",
    "train q-learning --env.size 9": "missing ENV",
    "evaluate run --env.size 9": "--env.size needs the environment's name too: --env ENV",
    "resume run --env.size 9": "this command does not take --env.size",
    "compare random --env FourRooms --env.size 9": "--env 'Maze?size=9'",
    "solve FourRooms --criterion gain": "--criterion: unknown choice 'gain'; known: average-reward",
    "solve FourRooms --criterion average": "did you mean average-reward?",
    "watch run --in widow": "--in: unknown choice 'widow'; did you mean window?",
    "watch random": "'random'|--env",
    "watch run": "no terminal to watch in|--video",
    "demo --out run": "'run' is not empty",
    "demo --out broken.txt": "cannot create the run folder 'broken.txt'",
    # errors of the packages below it, one of each kind
    "train q-learning FourRoms": "unknown environment 'FourRoms'|did you mean FourRooms?",
    "train q-learning gridcade/FourRooms-v9": "FourRooms-v9|gridcade/FourRooms-v0",
    "train q-learning Maze --env.size nine": "size is nine",
    "train q-learning FourRooms --steps 0": "steps is 0",
    "train q-learning FourRooms --discount 1.5": "discount is 1.5",
    "train q-learning FourRooms --config wrong.toml": "wrong.toml|'stpes'|did you mean steps?",
    "train q-learning FourRooms --out run": "'run'|another config|env: RussellNorvig4x3 -> Four",
    f"train q-learning {SMALL} --config run/config.toml --out run": "gridcade resume run",
    "train q-learning CartPole": "finitely many observations|Box|or: gridcade train dqn CartPole",
    "train sb3-ppo Blackjack": "Tuple observations; try: gridcade train dqn Blackjack",
    "train q-learning CartPole?bins=[1,2]": "bins is [1, 2]; it must be one number, or a list of 4",
    "train dqn Pendulum": "continuous; try: gridcade train sb3-sac Pendulum",
    "evaluate FourRooms": "'FourRooms' is an environment, not a policy; write: random --env F",
    "compare random broken.txt": "'broken.txt' is an environment; write: --env broken.txt",
    "serve --port 99999": "port is 99999; it must be from 0 to 65535",
    "serve --host 256.1.1.1": "cannot serve at 256.1.1.1, port 8765",
    "serve nowhere": "cannot show the runs in 'nowhere': there is no such directory",
    "compare FourRooms --env Maze": "'FourRooms' is an environment; write: --env FourRooms",
    "solve studied/": "'studied/' is a folder, not a map file",
    "train q-learning Maze --env.sise 9": "argument of Maze 'sise'|did you mean size?",
    "train dqn CartPole --freeze conv --out none": "freeze is conv, but this network has no conv",
    "train q-learning FourRooms --init-from run --out none": "q-learning cannot start from 'run'",
    "solve broken.txt": "broken.txt, line 4, column 3",
    "evaluate truncated/checkpoints/20000": "truncated/checkpoints/20000",
    "evaluate rum": "'rum'|did you mean run?",
    "evaluate mine": "unknown policy 'mine'; did you mean runs/mine?",
    "evaluate mien": "unknown policy 'mien'; did you mean runs/mine?",
    "watch mine": "did you mean runs/mine?",
    "resume mine": "unknown run 'mine'; did you mean runs/mine?",
    "resume nothing-like-it": "no run folder 'nothing-like-it'",
    "resume run/checkpoints/5000": "'run/checkpoints/5000' is not a run folder|did you mean run?",
    "train dqn CartPole --init-from mine": "did you mean runs/mine?",
    "compare mine --env FourRooms --steps 9": "unknown contender 'mine'; did you mean runs/mine?",
    "evaluate run/checkpoints/999": "no checkpoint 'run/checkpoints/999'; those in run/checkpoints "
    "are: 10000, 15000, 20000",
    "evaluate run/999": "no checkpoint 'run/999'; those in run/checkpoints are: 10000",
    "evaluate studied": "'studied' is not a run folder: it holds no config.toml; its runs are in "
    "studied/runs",
    "evaluate foreign/checkpoints/20000": "foreign/checkpoints/20000",
    "evaluate run --env CliffWalk": "it learned 11 states, CliffWalk has 38; train one there: "
    "gridcade train q-learning CliffWalk",
    "evaluate run --epsilon nan": "epsilon is nan",
    "evaluate random --env NearAndFar --episodes 3": "NearAndFar|--steps",
    "watch run --video film.avi": "'film.avi'|.mp4, .webp, .gif",
    "play FourRooms": "no terminal to play in",
    f"compare random --env FourRooms --steps 9 --out {'x' * 300}": "xxx': File name too long",
}


@pytest.fixture
def spoiled(run: Path, folder: Path) -> Path:
    """A working directory with files that cannot be used."""
    (folder / "broken.txt").write_text("slip: 0.1\nmap:\n####\n#SX#\n####\n")
    (folder / "wrong.toml").write_text("stpes = 5\n")
    (folder / "studied/runs").mkdir(parents=True)
    for name in ("truncated", "foreign", "runs/mine"):
        shutil.copytree(run, folder / name)
    file = folder / "truncated/checkpoints/20000/agent.safetensors"
    file.write_bytes(file.read_bytes()[:-20])
    (folder / "foreign/checkpoints/20000/agent.safetensors").write_bytes(b"PK\x03\x04 a zip")
    return folder


def test_bad_input_has_a_message_and_changes_nothing(gridcade: Gridcade, spoiled: Path) -> None:
    before = contents(spoiled)
    wrong = []
    for words, parts in BAD.items():
        result = gridcade(*words.split())
        message = " ".join(result.err.split())
        complete = all(part in message for part in parts.split("|"))
        one_line = result.err.startswith("gridcade: ") and result.err.count("\n") == 1
        right = result.code == 2 and not result.out and one_line
        if not (right and complete and contents(spoiled) == before):
            wrong.append((words, result))
    assert not wrong, "\n\n".join(map(str, wrong))


@pytest.mark.parametrize(
    "words",
    [
        "evaluate RUN --episodes 5 --json",
        "resume RUN --steps 30000",
        "watch RUN --episodes 1 --video film.webp",
        "list runs",
        "compare RUN --env RussellNorvig4x3 --episodes 5 --jobs 1",
    ],
)
def test_a_damaged_newest_checkpoint_has_one_note(
    gridcade: Gridcade, spoiled: Path, words: str
) -> None:
    shutil.move(spoiled / "truncated", spoiled / "runs/truncated")
    result = gridcade(*words.replace("RUN", "runs/truncated").split())
    assert result.code == 0
    notes = [line for line in result.err.splitlines() if "damaged" in line]
    assert len(notes) == 1
    assert "runs/truncated/checkpoints/20000 (agent.safetensors: " in notes[0]


@pytest.mark.parametrize("words", ["evaluate run", "resume run", "watch run --video film.webp"])
def test_run_of_an_older_version_is_an_error(gridcade: Gridcade, run: Path, words: str) -> None:
    file = run / "config.toml"
    text = file.read_text()
    assert "format = 2\n" in text
    file.write_text(text.replace("format = 2\n", ""))
    result = gridcade(*words.split())
    assert (result.code, result.out, result.err.count("\n")) == (2, "", 1)
    assert "'run' was written by another version of Gridcade" in result.err
    assert "train again" in result.err


# ---- errors of a training that has begun

DQN = (
    "dqn CartPole --epoch 200 --learn-start 100 --replay-capacity 500 --hidden 200 "
    "--evaluation-every 99"
)


@pytest.fixture
def dqn(gridcade: Gridcade) -> Run:
    """A run of DQN with one checkpoint."""
    assert gridcade("train", *DQN.split(), "--steps", 200, "--out", "run").code == 0
    return Run("run")


def check_error(result: Result, run: Run, *parts: str) -> None:
    """Check that the error is one line with these parts, and that the checkpoint is readable."""
    assert result.code == 2
    assert result.err.count("\n") == 1
    for part in parts:
        assert part in result.err
    assert run.last_checkpoint() == 200
    run.load_checkpoint(200)


def test_changed_replay_file_is_an_error(gridcade: Gridcade, dqn: Run) -> None:
    file = dqn.path / "replay" / "rewards.bin"
    os.truncate(file, file.stat().st_size // 2)
    check_error(gridcade("resume", "run", "--steps", 400), dqn, "rewards.bin", "was changed")


def test_checkpoint_of_another_network_is_an_error(gridcade: Gridcade, dqn: Run) -> None:
    file = dqn.path / "config.toml"
    file.write_text(file.read_text().replace("200,\n]", "201,\n]"))
    result = gridcade("resume", "run", "--steps", 400)
    check_error(result, dqn, "does not fit this run", "has shape (200, 4), not (201, 4)")


def test_loss_that_is_not_finite_ends_the_training(gridcade: Gridcade, dqn: Run) -> None:
    file = dqn.path / "config.toml"
    changed = re.sub("learning_rate = .*", "learning_rate = 1e300", file.read_text())
    file.write_text(changed)
    result = gridcade("resume", "run", "--steps", 400)
    check_error(result, dqn, "the loss is nan", "learning diverged")


def test_full_disk_is_an_error_and_keeps_the_checkpoint(gridcade: Gridcade, dqn: Run) -> None:
    """The kernel refuses large files, as it refuses all files on a full disk."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (16_384, limits[1]))
    try:
        result = gridcade("resume", "run", "--steps", 400)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    check_error(result, dqn, "cannot write", "run/checkpoints/", "the last one is kept")
    assert not list(dqn.path.glob(".*.tmp"))


def test_replay_larger_than_the_disk_is_an_error(gridcade: Gridcade) -> None:
    words = DQN.replace("--replay-capacity 500", "--replay-capacity 100_000_000_000_000")
    result = gridcade("train", *words.split(), "--steps", 200, "--out", "run")
    assert result.code == 2
    assert "cannot reserve" in result.err
    assert "GB are needed" in result.err
