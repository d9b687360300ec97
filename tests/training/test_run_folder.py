"""The run folder: files are complete or absent, and are read exactly as written."""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from safetensors.numpy import save_file

from gridcade import api
from gridcade.agents import QLearningConfig, Schedule
from gridcade.errors import InputError, WriteError
from gridcade.files import write_text
from gridcade.recording.video import save_video
from gridcade.report import write_page, write_results
from gridcade.seeding import SEED_LIMIT
from gridcade.study.contender import ContenderSpec
from gridcade.study.study import Study
from gridcade.training import checkpoints, locks, sessions
from gridcade.training import run_folder as run_module
from gridcade.training.checkpoints import load_tensors
from gridcade.training.config import RunConfig, differences, from_dict, read_toml, to_dict
from gridcade.training.run_folder import KEPT_CHECKPOINTS, Run
from in_process import run_in_process

Tensors = dict[str, NDArray[Any]]
Q_LEARNING = QLearningConfig()
CONFIG = RunConfig("q-learning", "FourRooms", steps=1000, hyperparameters=Q_LEARNING)
MAP = "S.G\n"
STATE: Any = {
    "epoch_start": 3,
    "epoch_seconds": 0.5,
    "seconds": 2.5,
    "totals": {"reward": 0.1 + 0.2},
    "env_state": {"states": [1 << 100]},
}


@pytest.fixture
def run(tmp_path: Path) -> Run:
    return Run.create(tmp_path / "runs" / "one", CONFIG, None)


def tensors(number: int) -> Tensors:
    return {"q": np.full((3, 2), number / 3), "visits": np.arange(6).reshape(2, 3).T + number}


def save(run: Run, steps: int, number: int | None = None) -> None:
    agent = tensors(steps if number is None else number)
    loop = {"stream": np.array([steps, (1 << 64) - 1], dtype=np.uint64)}
    run.save_checkpoint(steps, agent, loop, STATE | {"steps": steps})


def holds(run: Run, steps: int, number: int | None = None) -> bool:
    """Return whether a checkpoint exists and contains exactly what was saved."""
    agent, loop, state = run.load_checkpoint(steps)
    expected = tensors(steps if number is None else number)
    same = all((agent[k] == v).all() and agent[k].dtype == v.dtype for k, v in expected.items())
    stream = [int(n) for n in loop["stream"]]
    return (
        same
        and set(agent) == set(expected)
        and stream == [steps, (1 << 64) - 1]
        and state == STATE | {"steps": steps}
    )


def names(folder: Path) -> set[str]:
    return {file.name for file in folder.iterdir()}


# ---- creating a folder


def test_a_new_folder_has_the_documented_files(run: Run) -> None:
    assert names(run.path) == {"config.toml", "metrics.jsonl", "checkpoints", "evaluation"}
    assert names(run.path.parent) == {"one"}
    assert run.world is None
    assert run.env == "FourRooms"
    assert run.metrics() == []
    with pytest.raises(InputError, match="has no checkpoint"):
        run.last_checkpoint()


@pytest.fixture(params=[0o002, 0o027, 0o077])
def umask(request: pytest.FixtureRequest) -> Iterator[int]:
    before = os.umask(request.param)
    yield request.param
    os.umask(before)


@pytest.mark.skipif(os.name == "nt", reason="Windows has no permissions of this kind")
def test_all_files_have_the_permissions_that_the_umask_gives(umask: int, tmp_path: Path) -> None:
    run = sessions.train("dqn", "CartPole-v1", steps=60, out=tmp_path / "runs/dqn")
    api.save_evaluation(run, api.evaluate(run, episodes=2))
    write_text(run.path / "world.txt", "S.G")
    save_video(run.path / "watch.webp", [np.zeros((8, 8, 3), np.uint8)] * 2, 5.0)
    spec = ContenderSpec("q-learning")
    study = Study((spec, ContenderSpec("random")), ("FourRooms",), steps=200, seeds=1, episodes=2)
    comparison = run_in_process(study, tmp_path / "study")
    write_results(comparison, tmp_path / "study")
    write_page(comparison, tmp_path / "study")
    found = [*tmp_path.rglob("*")]
    assert len(found) > 40
    for path in found:
        assert oct(path.stat().st_mode & 0o777) == oct((0o777 if path.is_dir() else 0o666) & ~umask)


@pytest.mark.parametrize("kind", ["folder", "link", "."])
def test_an_empty_folder_that_exists_becomes_the_run(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "empty"
    (folder / "lost+found").mkdir(parents=True)  # as on an empty file system
    link = tmp_path / "link"
    link.symlink_to(folder, target_is_directory=True)
    monkeypatch.chdir(folder)
    inode = folder.stat().st_ino
    path = {"folder": folder, "link": link, ".": Path()}[kind]
    Run.create(path, CONFIG, MAP)
    assert Run(folder).config == CONFIG
    assert (folder.stat().st_ino, link.is_symlink()) == (inode, True)
    assert names(folder) == {
        *("lost+found", "config.toml", "metrics.jsonl", "checkpoints", "evaluation", "world.txt")
    }
    with pytest.raises(InputError, match="exists and is not an empty folder"):
        Run.create(path, CONFIG, MAP)


def test_a_map_is_copied_into_the_folder(tmp_path: Path) -> None:
    config = replace(CONFIG, env="somewhere/mine.txt?time_limit=5")
    run = Run.create(tmp_path / "run", config, MAP)
    assert run.world == MAP
    assert run.env == f"{tmp_path / 'run' / 'world.txt'}?time_limit=5"


def test_an_existing_folder_must_be_empty(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    assert Run.create(tmp_path / "empty", CONFIG, None).config == CONFIG
    (tmp_path / "file").write_text("mine")
    for existing in ("empty", "file"):
        with pytest.raises(InputError, match="exists and is not an empty folder"):
            Run.create(tmp_path / existing, replace(CONFIG, seed=1), None)
    assert Run(tmp_path / "empty").config == CONFIG
    assert (tmp_path / "file").read_text() == "mine"
    assert names(tmp_path) == {"empty", "file"}


@pytest.mark.parametrize("name", ["world.txt", "config.toml"])
@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), KeyboardInterrupt()])
def test_a_folder_that_cannot_be_completed_is_removed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, error: BaseException
) -> None:
    def write(file: Path, text: str) -> None:
        if file.name == name:
            raise error
        write_text(file, text)

    monkeypatch.setattr(run_module, "write_text", write)
    message = "cannot create the run folder '.*run': No space left on device"
    with pytest.raises((WriteError, KeyboardInterrupt), match=message if error.args else None):
        Run.create(tmp_path / "run", CONFIG, MAP)
    assert names(tmp_path) == set()


@pytest.mark.parametrize("name", ["file/run", "n" * 300])
def test_a_path_where_no_folder_can_be_created_is_an_error(tmp_path: Path, name: str) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(WriteError, match="cannot create the run folder"):
        Run.create(tmp_path / name, CONFIG, None)
    assert names(tmp_path) == {"file"}


@pytest.mark.parametrize("name", ["nothing", "empty", "file", "n" * 300])
def test_a_path_that_is_not_a_run_folder_is_an_error(tmp_path: Path, name: str) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "empty").mkdir()
    message = "is not a run folder: it holds no config"
    if not name.startswith(("empty", "file")):
        message = f"no run folder '.*/{name}'"
    with pytest.raises(InputError, match=message):
        Run(tmp_path / name)


# ---- the config

shares = st.floats(min_value=0, max_value=1)
schedules = st.builds(Schedule, shares, st.none() | shares, st.integers(0, 1 << 62), shares)
configs = st.builds(
    RunConfig,
    agent=st.just("q-learning"),
    env=st.text(),
    preset=st.text(),
    seed=st.integers(0, SEED_LIMIT - 1),
    steps=st.integers(1, 1 << 62),
    minutes=st.none() | st.floats(min_value=0, exclude_min=True, allow_infinity=False),
    epoch=st.integers(1, 1 << 62),
    evaluation_episodes=st.integers(1, 1000),
    envs=st.integers(1, 1000),
    hyperparameters=st.builds(
        QLearningConfig,
        discount=shares,
        initial_value=st.floats(allow_nan=False, allow_infinity=False),
        step_size=schedules,
        epsilon=schedules,
    ),
)


@given(configs)
def test_a_config_is_read_as_it_was_written(config: RunConfig) -> None:
    with tempfile.TemporaryDirectory() as folder:
        run = Run.create(Path(folder) / "run", config, None)
        assert run.config == config
        assert differences(run.config, config) == []


def test_none_is_omitted_from_the_file_and_read_as_none(tmp_path: Path) -> None:
    config = replace(CONFIG, steps=None, minutes=2.0)
    run = Run.create(tmp_path / "run", config, None)
    assert run.config == config
    assert run.config.steps is None
    assert "None" not in (run.path / "config.toml").read_text()
    assert differences(run.config, config) == []


def test_rewrite_config_changes_the_run_and_its_file(run: Run) -> None:
    run.rewrite_config(replace(CONFIG, steps=5000))
    assert run.config.steps == 5000
    assert Run(run.path).config == replace(CONFIG, steps=5000)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"steps": 0}, "steps is 0; it must be 1 or more"),
        ({"epoch": 0}, "epoch is 0; it must be 1 or more"),
        ({"envs": -1}, "envs is -1; it must be 1 or more"),
        ({"evaluation_episodes": 0}, "evaluation_episodes is 0; it must be 1 or more"),
        ({"minutes": 0.0}, "minutes is 0.0; it must be more than 0"),
        ({"minutes": float("nan")}, "minutes is nan; it must be more than 0"),
        ({"minutes": float("inf")}, "minutes is inf; it must be more than 0"),
        ({"seed": -1}, "seed is -1"),
        ({"steps": None}, "a run needs steps, minutes, or both"),
    ],
)
def test_a_value_out_of_range_is_an_error(values: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        replace(CONFIG, **values)


HEAD = "agent = 'x'\nformat = 2\n"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a = = 3", r"config\.toml: Invalid value \(at line 1, column 5\)"),
        (HEAD + "env = 'y", r"config\.toml: .*\(at .*\)"),
        (b"agent = '\xff'", r"cannot read '.*config\.toml': line 1 is not in UTF-8"),
        (
            HEAD + "env = 'y'\nstesp = 3",
            r"config\.toml: unknown field 'stesp'; .* steps\?",
        ),
        (
            HEAD + "env = 3\nsteps = 1",
            r"config\.toml: Expected `str`, got `int`.*env",
        ),
        (HEAD + "steps = 1", r"config\.toml: .*missing required field `env`"),
        (HEAD + "env = 'y'\nsteps = 1.5", r"config\.toml: steps is 1\.5; it must be a whole"),
        (HEAD + "env = 'y'\nsteps = true", r"config\.toml: Expected `int.*steps"),
        (
            HEAD + "env = 'y'\nsteps = -1",
            r"config\.toml: steps is -1; it must be 1 or more",
        ),
        (
            HEAD + "env = 'y'",
            r"config\.toml: a run needs steps, minutes, or both",
        ),
    ],
)
def test_a_mistake_in_a_config_file_is_reported_with_its_position(
    tmp_path: Path, text: str | bytes, message: str
) -> None:
    file = tmp_path / "config.toml"
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(InputError, match=message):
        Run(tmp_path)


def test_an_unreadable_file_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"cannot read '.*none\.toml': No such file"):
        read_toml(tmp_path / "none.toml")
    with pytest.raises(InputError, match=r"cannot read '.*': Is a directory"):
        read_toml(tmp_path)


@dataclass(frozen=True)
class Inner:
    power: float = 0.0


@dataclass(frozen=True)
class Outer:
    inner: Inner = field(default_factory=Inner)
    rate: float = 0.5


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"raet": 1}, "^here: unknown field 'raet'; did you mean rate?"),
        ({"inner": {"pover": 1}}, "^here, inner: unknown field 'pover'; did you mean power?"),
        ({"zzz": 1}, "^here: unknown field 'zzz'; known: inner, rate"),
        ({"inner": 3}, r"^here: Expected `object`, got `int` - at `\$\.inner`"),
        ({"inner": {"power": "x"}}, r"^here: Expected `float`, got `str` - at `\$\.inner\.power`"),
    ],
)
def test_an_unknown_field_or_wrong_type_is_an_error(values: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        from_dict(values, Outer, "here")


def test_from_dict_and_to_dict_are_inverse() -> None:
    values = {"inner": {"power": 0.25}, "rate": 1}
    outer = from_dict(values, Outer, "here")
    assert outer == Outer(Inner(0.25), 1.0)
    assert to_dict(outer) == values


def test_differences_name_each_field_and_both_values() -> None:
    old = replace(CONFIG, hyperparameters=QLearningConfig(epsilon=Schedule(0.1)))
    decaying = QLearningConfig(epsilon=Schedule(0.2, 0.05))
    new = replace(CONFIG, seed=3, minutes=2.0, hyperparameters=decaying)
    assert differences(old, old) == []
    assert differences(old, new) == [
        "hyperparameters.epsilon.final: none -> 0.05",
        "hyperparameters.epsilon.initial: 0.1 -> 0.2",
        "minutes: none -> 2.0",
        "seed: 0 -> 3",
    ]


@pytest.mark.parametrize("line", ["", "format = 1\n", "format = 3\n"])
def test_another_folder_format_is_an_error(line: str, tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_text(f"{line}agent = 'q-learning'\nenv = 'FourRooms'\n")
    message = (
        r"was written by another version of Gridcade \(run folder format .*reads 2\): train again$"
    )
    with pytest.raises(InputError, match=message):
        Run(tmp_path)


# ---- metrics

ENTRIES = [{"steps": 10 * k, "return_mean": k / 3, 'a "b" \u2028': k} for k in range(1, 5)]


def test_metrics_are_cut_back_wherever_the_last_line_was_truncated(run: Run) -> None:
    for entry in ENTRIES:
        run.add_metrics(entry)
    file = run.path / "metrics.jsonl"
    whole = file.read_bytes()
    ends = [0, *(i + 1 for i, byte in enumerate(whole) if byte == ord("\n"))]
    for size in range(len(whole) + 1):
        file.write_bytes(whole[:size])
        lines = sum(end - 1 <= size for end in ends[1:])  # only the line break may be missing
        assert run.metrics() == ENTRIES[:lines]
        run.cut_metrics(30)
        remaining = ENTRIES[: min(lines, 3)]
        assert file.read_bytes() == whole[: ends[len(remaining)]]
        run.add_metrics({"steps": 50})
        assert run.metrics() == [*remaining, {"steps": 50}]


def test_each_line_is_a_json_object_with_full_precision(run: Run) -> None:
    run.add_metrics({"steps": 1, "x": 0.1 + 0.2, "y": 1e-300, "z": None})
    lines = (run.path / "metrics.jsonl").read_text().split("\n")
    assert json.loads(lines[0]) == {"steps": 1, "x": 0.1 + 0.2, "y": 1e-300, "z": None}
    assert lines[1:] == [""]


# ---- checkpoints


def test_a_checkpoint_is_read_as_it_was_written(run: Run) -> None:
    save(run, 7)
    assert run.checkpoints() == [7]
    assert names(run.path / "checkpoints" / "7") == {
        "agent.safetensors",
        "loop.safetensors",
        "loop.json",
    }
    assert holds(run, 7)


def test_a_checkpoint_of_the_same_step_replaces_the_old_one(run: Run) -> None:
    save(run, 7, number=1)
    save(run, 7, number=2)
    assert run.checkpoints() == [7]
    assert holds(run, 7, number=2)
    assert names(run.path / "checkpoints") == {"7"}


@contextmanager
def failing(monkeypatch: pytest.MonkeyPatch, operation: int) -> Iterator[list[str]]:
    """Make the n-th write or move of a file fail; a failing write leaves half a file."""
    operations: list[str] = []

    def counted(name: str, work: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **options: Any) -> Any:
            operations.append(name)
            if len(operations) == operation:
                if name != "rename":
                    (arguments[1] if name == "save_file" else arguments[0]).write_bytes(b"half")
                raise OSError(28, "No space left on device")
            return work(*arguments, **options)

        return call

    with monkeypatch.context() as patch:
        patch.setattr(checkpoints, "save_file", counted("save_file", save_file))
        patch.setattr(Path, "write_text", counted("write_text", Path.write_text))
        patch.setattr(Path, "rename", counted("rename", Path.rename))
        yield operations


@pytest.mark.parametrize("overwrite", [False, True])
@pytest.mark.parametrize("operation", range(1, 8))
def test_a_failed_save_leaves_complete_checkpoints(
    run: Run, monkeypatch: pytest.MonkeyPatch, operation: int, overwrite: bool
) -> None:
    """Whichever operation fails, all checkpoints are complete and at least one can be resumed."""
    for steps in (10, 20, 30, 40):  # 10 is deleted
        save(run, steps)
    steps = 40 if overwrite else 50
    with failing(monkeypatch, operation) as operations:
        try:
            save(run, steps, number=steps)
            failed = False
        except InputError:
            failed = True
    assert failed == (operation <= 5)  # three files, the move, and moving the old one away
    assert len(operations) == (operation if failed else 5)
    remaining = run.checkpoints()
    assert {20, 30} <= set(remaining) if overwrite else {30, 40} <= set(remaining)
    assert all(holds(run, n) for n in remaining)
    assert names(run.path / "checkpoints") == {str(n) for n in remaining}


def test_leftovers_of_killed_sessions_are_ignored_and_deleted(run: Run) -> None:
    save(run, 10)
    half = run.path / "checkpoints" / ".new-abc" / "new"
    half.mkdir(parents=True)
    (half / "agent.safetensors").write_bytes(b"half")
    (run.path / ".metrics.jsonl.123.tmp").write_text("half")
    assert run.checkpoints() == [10]
    assert run.last_checkpoint() == 10
    before = names(run.path)
    run.clear_leftovers()
    assert names(run.path / "checkpoints") == {"10"}
    assert names(run.path) == before - {".metrics.jsonl.123.tmp"}
    assert holds(run, 10)


def save_scored(run: Run, scores: list[dict[str, Any]]) -> list[int]:
    """Save a checkpoint for each score, in order; return the checkpoints that remain."""
    for k, score in enumerate(scores, 1):
        run.add_metrics({"steps": k, **score})
        save(run, k)
    return run.checkpoints()


@settings(max_examples=60)
@given(st.lists(st.integers(-3, 3), min_size=1, max_size=9), st.booleans())
def test_the_last_checkpoints_and_the_best_remain(returns: list[int], continuing: bool) -> None:
    key = "average_reward_mean" if continuing else "return_mean"
    other = {} if continuing else {"average_reward_mean": 0.5}
    with tempfile.TemporaryDirectory() as folder:
        run = Run.create(Path(folder) / "run", CONFIG, None)
        remaining = save_scored(run, [{key: score} | other for score in returns])
        best = returns.index(max(returns)) + 1
        last = range(1, len(returns) + 1)[-KEPT_CHECKPOINTS:]
        assert run.best() == best
        assert remaining == sorted({best, *last})
        assert all(holds(run, n) for n in remaining)


def test_a_policy_that_never_ends_an_episode_is_not_the_best_by_average_reward(run: Run) -> None:
    """With a cost per step, the return of such a policy is minus infinity, reported as None."""
    endless = {"average_reward_mean": -1.0}
    ending = [{"average_reward_mean": -1.5, "return_mean": -r} for r in (20.0, 13.0, 15.0)]
    assert save_scored(run, [endless, *ending, endless, endless]) == [3, 4, 5, 6]
    assert run.best() == 3


def test_without_metrics_no_checkpoint_is_the_best(run: Run) -> None:
    assert run.best() is None
    for steps in range(5):
        save(run, steps)
    assert run.checkpoints() == [2, 3, 4]


def test_checkpoints_are_ordered_by_number(run: Run) -> None:
    for steps in (8, 9, 10, 100):
        save(run, steps)
    (run.path / "checkpoints" / "notes").mkdir()
    assert run.checkpoints() == [9, 10, 100]
    assert run.last_checkpoint() == 100


# ---- damaged files


def test_a_file_truncated_at_any_length_is_an_error(run: Run) -> None:
    save(run, 5)
    for name in ("agent.safetensors", "loop.safetensors", "loop.json"):
        file = run.path / "checkpoints" / "5" / name
        whole = file.read_bytes()
        for size in range(len(whole)):
            file.write_bytes(whole[:size])
            with pytest.raises(InputError, match=name.replace(".", r"\.")):
                run.load_checkpoint(5)
        file.write_bytes(whole)
    assert holds(run, 5)


@settings(max_examples=300)
@given(st.data())
def test_a_corrupt_file_is_read_or_is_an_input_error(data: st.DataObject) -> None:
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "x.safetensors"
        save_file({"q": np.eye(2), "n": np.arange(3)}, file)
        content = bytearray(file.read_bytes())
        for index in data.draw(st.lists(st.integers(0, len(content) - 1), min_size=1, max_size=4)):
            content[index] = data.draw(st.integers(0, 255))
        file.write_bytes(content)
        with suppress(InputError):
            load_tensors(file)


HEADER = b'{"q":{"dtype":"%s","shape":[2],"data_offsets":[0,%d]}}'


def foreign(dtype: bytes, size: int) -> bytes:
    """Return a safetensors file with a type that NumPy may not know."""
    header = HEADER % (dtype, size)
    return len(header).to_bytes(8, "little") + header + bytes(size)


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(b"", id="empty"),
        pytest.param(b"\x80\x04\x95 a pickle", id="pickle"),
        pytest.param(b"PK\x03\x04" + bytes(100), id="zip"),
        pytest.param(b"\xff" * 100, id="a header of 2**64 bytes"),
        pytest.param(foreign(b"BF16", 4), id="bfloat16"),
        pytest.param(foreign(b"F8_E4M3", 2), id="float8"),
        pytest.param(foreign(b"WHAT", 4), id="unknown type"),
    ],
)
def test_a_file_of_another_format_is_an_error(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "agent.safetensors"
    file.write_bytes(content)
    with pytest.raises(InputError, match=r"agent\.safetensors' is not a readable checkpoint: \w"):
        load_tensors(file)


def test_a_missing_file_or_a_folder_in_its_place_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no file .*none\.safetensors"):
        load_tensors(tmp_path / "none.safetensors")
    with pytest.raises(InputError, match="is not a readable checkpoint"):
        load_tensors(tmp_path)


# ---- sessions

HOLD = """
import sys
from gridcade.training.run_folder import Run
with Run(sys.argv[1]).locked():
    print("locked", flush=True)
    sys.stdin.read()
"""


def test_only_one_process_at_a_time_can_lock_a_folder(run: Run) -> None:
    command = [sys.executable, "-c", HOLD, str(run.path)]
    pipes: Any = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    with subprocess.Popen(command, **pipes) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "locked\n"
        with pytest.raises(InputError, match="another process is training in"), run.locked():
            pass
        process.kill()  # the lock is released when its process ends
        process.wait()
        with run.locked():
            pass
    with run.locked():
        second = subprocess.run(command, input="", capture_output=True, text=True, check=False)
        assert "another process is training in" in second.stderr
        assert second.returncode == 1


def test_sessions_are_recorded_in_order(run: Run) -> None:
    for number in range(3):
        run.add_provenance({"number": number})
    provenance = json.loads((run.path / "provenance.json").read_text())
    assert provenance == {"sessions": [{"number": n} for n in range(3)]}
    assert "provenance.json" in names(run.path)
    assert not [name for name in names(run.path) if name.endswith(".tmp")]


def test_a_file_is_written_completely_or_not_at_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "x.json"
    write_text(file, "old")
    with failing(monkeypatch, 1), pytest.raises(OSError, match="No space left"):
        write_text(file, "new")
    assert file.read_text() == "old"


def test_the_average_reward_breaks_ties_between_equal_returns(tmp_path: Path) -> None:
    """Returns that differ only by rounding count as equal."""
    run = Run.create(tmp_path / "run", CONFIG, None)
    for steps, mean, average_reward in (
        (1, 1.0 - 1e-12, 0.04),
        (2, 1.0 + 1e-15, 0.03),
        (3, 0.9, 0.05),
    ):
        run.add_metrics(
            {"steps": steps, "return_mean": mean, "average_reward_mean": average_reward}
        )
    assert run.best() == 1


@pytest.mark.parametrize("line", [b"[1, 2]\n", b"\xff\xfe\n", b'{"steps": "x"}\n', b"3\n"])
def test_invalid_lines_of_metrics_are_ignored(tmp_path: Path, line: bytes) -> None:
    run = Run.create(tmp_path / "run", CONFIG, None)
    run.add_metrics({"steps": 1})
    with (run.path / "metrics.jsonl").open("ab") as file:
        file.write(line)
    assert run.metrics() == [{"steps": 1}]


def test_storage_is_reserved_or_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = Run.create(tmp_path / "run", CONFIG, None)
    array = run.storage("frames", (3, 4), np.float32)
    array[1] = 7
    file = run.path / "replay" / "frames.bin"
    assert file.stat().st_blocks * 512 >= file.stat().st_size == 48
    assert (run.storage("frames", (3, 4), np.float32)[1] == 7).all()
    file.write_bytes(b"short")
    with pytest.raises(InputError, match=r"frames\.bin' has 5 bytes, not 48"):
        run.storage("frames", (3, 4), np.float32)

    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.posix_fallocate", full)
    with pytest.raises(InputError, match=r"No space left on device \(8\.0 GB are needed\)"):
        run.storage("more", (10**9,), np.float64)
    assert not [*(run.path / "replay").glob("more.*")]


def test_space_is_reserved_without_posix_fallocate(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on macOS: every block of the file is allocated, so that no later write can fail."""
    monkeypatch.delattr("os.posix_fallocate", raising=False)
    monkeypatch.setattr(locks, "BLOCK", 5000)
    run = Run.create(tmp_path / "run", CONFIG, None)
    array = run.storage("frames", (16_001,), np.uint8)
    assert array.shape == (16_001,)
    assert not array.any()
    assert (run.path / "replay" / "frames.bin").stat().st_blocks * 512 >= 16_001
