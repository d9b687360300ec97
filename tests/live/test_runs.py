"""The tables and files of the Runs page, and the requests that its server refuses."""

import json
import os
import shlex
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from serving import get, serving

from gridcade import api
from gridcade.agents.schedules import Schedule
from gridcade.cli import main
from gridcade.envs import registry
from gridcade.errors import InputError
from gridcade.live.arcade.policy_list import PolicyList
from gridcade.live.run_files import MAX_DEPTH, find_files
from gridcade.live.runs.curves import read_curves, thin_out
from gridcade.live.runs.details import compare_runs
from gridcade.live.runs.directory import RunsDirectory
from gridcade.live.server import Server
from gridcade.training import sessions
from gridcade.training.config import resolve_config
from gridcade.training.run_folder import PROVENANCE, Run
from gridcade.training.train_command import train_command

EPOCHS = 4


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with a finished and a stopped run, a report and videos."""
    root = tmp_path_factory.mktemp("served") / "my runs"
    options: Any = {"steps": EPOCHS * 1000, "epoch": 1000}
    sessions.train("q-learning", "CliffWalk", out=root / "finished", **options)
    sessions.train(
        *("q-learning", "CliffWalk"),
        hyperparameters={"discount": 0.9},
        stop=lambda: len(Run(root / "stopped").metrics()) >= 2,
        out=root / "stopped",
        **options | {"seed": 1},
    )
    study = root / "studies/small"
    study.mkdir(parents=True)
    (study / "study.toml").write_text(
        'environments = ["CliffWalk"]\nseeds = 2\ncontenders = [{policy = "random"}]\n'
    )
    (study / "report.html").write_text("<style>p {color: red}</style><p>Report</p>")
    (root / "finished/clip.mp4").write_bytes(bytes(1000))
    return root


@pytest.fixture
def copied(trained: Path, tmp_path: Path) -> Path:
    """A copy that a test may change."""
    return shutil.copytree(trained, tmp_path / "copy")


@pytest.fixture(scope="module")
def server(trained: Path) -> Iterator[Server]:
    with serving(trained) as running:
        yield running


def ask(server: Server, name: str, **query: Any) -> Any:
    status, headers, content = get(server.address, f"/runs/{name}?{urlencode(query, doseq=True)}")
    assert (status, headers["content-type"]) == (200, "application/json")
    return json.loads(content)


# ---- the table


def test_the_table_shows_state_score_and_size_of_each_run(server: Server, trained: Path) -> None:
    table = ask(server, "list")
    finished, stopped = table["runs"]
    assert [finished["name"], stopped["name"]] == ["finished", "stopped"]
    assert (finished["state"], stopped["state"]) == ("finished", "stopped")
    assert (finished["steps"], finished["total_steps"]) == (4000, 4000)
    assert 2000 <= stopped["steps"] < 4000
    assert finished["started"] <= stopped["started"]
    assert finished["plays"]
    assert not registry.draws_pictures("NoSuchWorld")
    last = Run(trained / "finished").metrics()[-1]
    score = finished["scores"]["return"]
    assert score == {end: last[f"return_{end}"] for end in ("mean", "low", "high")}
    files = [file for file in (trained / "finished").rglob("*") if file.is_file()]
    assert sum(finished["bytes"].values()) == sum(file.stat().st_size for file in files)
    assert finished["bytes"]["videos"] == 1000
    assert finished["bytes"]["checkpoints"] > 0
    assert table["studies"][0]["report"] == "studies/small/report.html"
    assert table["videos"] == ["finished/clip.mp4"]


def test_a_run_whose_folder_is_locked_is_in_training(copied: Path) -> None:
    directory = RunsDirectory(copied)
    with Run(copied / "stopped").locked():
        finished, training = directory.table().runs
        assert (finished.state, training.state) == ("finished", "training")
        assert training.removals == []
    assert directory.table().runs[1].state == "stopped"
    with Run(copied / "stopped").locked():  # reading the state does not keep the lock
        pass


def test_commands_remove_a_run_or_the_replay_of_a_finished_run(copied: Path) -> None:
    for name in ("finished", "stopped"):
        (copied / name / "replay").mkdir()
        (copied / name / "replay/states.bin").write_bytes(bytes(5000))
    finished, stopped = RunsDirectory(copied).table().runs
    assert [removal.part for removal in stopped.removals] == ["run"]  # resuming needs the replay
    replay, run = finished.removals
    assert (replay.part, replay.bytes) == ("replay", 5000)
    assert shlex.split(replay.command) == ["rm", "-r", str(copied / "finished/replay")]
    assert shlex.split(run.command) == ["rm", "-r", str(copied / "finished")]


@pytest.mark.filterwarnings("ignore::gridcade.errors.InputWarning")
def test_a_damaged_run_is_reported_and_hides_no_other_run(copied: Path) -> None:
    before = Run(copied / "stopped").last_checkpoint()
    for name, file, text in (
        ("config", "config.toml", "agent = "),
        ("loop", "checkpoints/4000/loop.json", "{}"),
        ("provenance", "provenance.json", '{"sessions": [3]}'),
    ):
        damaged = shutil.copytree(copied / "finished", copied / name)
        (damaged / file).write_text(text)
    (copied / "studies/small/study.toml").write_text("seeds = ")
    table = RunsDirectory(copied).table()
    assert {run.name: (run.steps, run.damaged) for run in table.runs} == {
        "finished": (4000, 0),
        "loop": (3000, 1),
        "stopped": (before, 0),
    }
    assert {bad.name for bad in table.unreadable} == {"config", "provenance"}
    assert all("\n" not in bad.reason for bad in table.unreadable)
    assert table.studies == []


def test_a_damaged_provenance_leaves_the_other_runs_comparable(copied: Path) -> None:
    names = sorted(RunsDirectory(copied).table().runs, key=lambda run: run.name)[:2]
    runs = [(run.name, Run(copied / run.name)) for run in names]
    file = runs[0][1].path / PROVENANCE
    provenance = json.loads(file.read_text())
    provenance["sessions"][-1]["libraries"] = 5
    file.write_text(json.dumps(provenance))
    compared = compare_runs(runs)
    assert len(compared.runs) == 2
    file.write_text('{"sessions": [{"libraries": null}, 3]}')
    assert len(compare_runs(runs).runs) == 2


def test_a_directory_that_does_not_exist_is_empty(tmp_path: Path) -> None:
    table = RunsDirectory(tmp_path / "none").table()
    assert (table.runs, table.studies, table.videos) == ([], [], [])
    assert shlex.split(table.example)[:4] == ["gridcade", "train", "q-learning", "FourRooms"]


# ---- curves


def test_a_page_gets_only_the_lines_that_it_lacks(copied: Path) -> None:
    run = Run(copied / "finished")
    first = read_curves(run)
    assert (first.start, first.lines, list(first.entries)) == (0, EPOCHS, run.metrics())
    same = read_curves(run, first.lines, first.version)
    assert (same.version, list(same.entries)) == (first.version, [])
    run.add_metrics({"steps": 5000, "seconds": 9.0, "loss": float("nan")})
    news = read_curves(run, first.lines, first.version)
    assert (news.start, news.lines, [entry["steps"] for entry in news.entries]) == (4, 5, [5000])
    assert msgspec.json.decode(msgspec.json.encode(news))["entries"][0]["loss"] is None
    run.cut_metrics(2000)  # as resuming does
    run.add_metrics({"steps": 2500, "seconds": 3.0})
    again = read_curves(run, news.lines, news.version)
    assert (again.start, [entry["steps"] for entry in again.entries]) == (0, [1000, 2000, 2500])


@given(st.lists(st.booleans(), max_size=300), st.integers(1, 20))
def test_a_long_curve_keeps_its_order_its_last_point_and_its_evaluations(
    evaluated: list[bool], most: int
) -> None:
    entries = [{"steps": i} | ({"exact": True} if e else {}) for i, e in enumerate(evaluated)]
    kept = thin_out(entries, most)
    assert kept == [entry for entry in entries if entry in kept]
    assert kept[-1:] == entries[-1:]
    for part in (True, False):
        before, after = (sum(("exact" in e) is part for e in each) for each in (entries, kept))
        assert min(before, (most + 1) // 2) <= after <= most + 1


# ---- side by side


def test_settings_that_differ_are_marked(server: Server) -> None:
    comparison = ask(server, "compare", run=["finished", "stopped"])
    rows = comparison["settings"] + comparison["hyperparameters"]
    assert {row["name"] for row in rows if row["differs"]} == {"seed", "discount"}
    cells = {row["name"]: row["cells"] for row in rows}
    assert cells["discount"] == ["0.99", "0.9"]
    assert cells["steps"] == ["4,000", "4,000"]
    assert cells["epsilon.final"] == ["0.1", "0.1"]
    assert {"cpu", "numpy"} <= {row["name"] for row in comparison["provenance"]}
    assert shlex.split(comparison["runs"][1]["resume"])[:2] == ["gridcade", "resume"]


def test_evaluations_have_intervals_and_damaged_ones_are_skipped(copied: Path) -> None:
    run = Run(copied / "finished")
    result = api.evaluate(run, episodes=20)
    api.save_evaluation(run, result)
    (run.path / "evaluation/20300101T000000.000000.json").write_text('{"policy": 3}')
    [details] = compare_runs([("finished", run)]).runs
    [evaluation] = details.evaluations
    estimate = evaluation.expected_return
    assert estimate is not None
    assert result.expected_return is not None
    assert estimate.mean == result.expected_return.mean
    assert evaluation.saved.startswith("20")
    assert RunsDirectory(copied).table().runs[0].evaluations == 2


# ---- the command that trains a run again

RECIPES: list[tuple[str, str, dict[str, Any], dict[str, Any]]] = [
    ("q-learning", "CliffWalk", {"steps": 3000}, {}),
    ("q-learning", "Maze?size=4&seed=1", {"minutes": 0.5, "seed": 3}, {"initial_value": -1.5}),
    (
        *("q-learning", "NearAndFar", {"preset": "average-reward", "steps": 9999, "epoch": 500}),
        {"epsilon": Schedule(0.5, None), "step_size": {"power": 0.3}},
    ),
    (
        *("dqn", "CartPole-v1", {"envs": 2, "evaluation_every": 3, "evaluation_episodes": 7}),
        {"hidden": [8], "overlap": False, "clip_rewards": True, "optimizer": "mnih"},
    ),
    ("sb3-dqn", "CartPole-v1", {"steps": 100}, {"train_freq": 2, "learning_rate": "lin_0.01"}),
    ("sb3-ppo", "CartPole-v1", {"steps": 100}, {"policy_kwargs": {"log_std_init": 0.5}}),
    ("q-learning", "world.txt?max_episode_steps=50", {"steps": 3000}, {"discount": 0.5}),
]


@pytest.mark.parametrize(("agent", "env", "options", "hyperparameters"), RECIPES)
def test_the_command_resolves_to_the_config_of_the_run(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    agent: str,
    env: str,
    options: Any,
    hyperparameters: dict[str, Any],
) -> None:
    if agent.startswith("sb3"):
        pytest.importorskip("stable_baselines3")
    monkeypatch.chdir(tmp_path)
    Path("world.txt").write_text("S.G\n")
    plain = {k: vars(v) if isinstance(v, Schedule) else v for k, v in hyperparameters.items()}
    config, _ = sessions.dry_run(agent, env, plain, **options)
    world = Path("world.txt").read_text() if env.startswith("world") else None
    run = Run(Run.create(Path("my runs/a run"), config, world).path)
    Path("world.txt").unlink()  # the run has a copy of its own

    program, name, *words = shlex.split(train_command(run))
    assert (program, name) == ("gridcade", "train")
    command: Any = main._parse_command(name, *words)
    given = {k: v for k, v in command.options.items() if k not in ("preset", "config", "out")}
    resolved = resolve_config(command.recipe(), command.env, given, command.agent_config())
    assert command.env == run.env
    assert resolved == replace(run.config, env=run.env)


# ---- what the server refuses

OUTSIDE = [
    "../secret.html",
    "finished/../../secret.html",
    "/etc/passwd",
    "finished/config.toml",
    "finished/metrics.jsonl",
    ".hidden/report.html",
    "finished/.hidden.mp4",
    "link.mp4",
    "linked/clip.mp4",
    "page.html",
    "",
]


def test_no_name_leads_out_of_the_directory_or_to_another_file(copied: Path) -> None:
    outside = copied.parent / "outside"
    shutil.copytree(copied / "finished", outside)
    (copied.parent / "secret.html").write_text("hidden words")
    (copied / "page.html").write_text("hidden words")  # not a report
    (copied / ".hidden").mkdir()
    for name in ("report.html", "study.toml"):
        shutil.copy(copied / "studies/small" / name, copied / ".hidden")
    (copied / "finished/.hidden.mp4").touch()
    (copied / "link.mp4").symlink_to(outside / "clip.mp4")
    (copied / "linked").symlink_to(outside)
    with serving(copied) as server:
        for name in OUTSIDE:
            for path in (f"/runs/file/{name}", f"/runs/file/{quote(name, safe='')}"):
                status, _, content = get(server.address, path)
                assert status == 404, path
                assert b"words" not in content
        for run in ("../outside", str(outside), "linked", "finished/", ".", "none", ""):
            for table in ("curves", "compare", "command"):
                status, _, content = get(server.address, f"/runs/{table}?{urlencode({'run': run})}")
                assert status == 404, (table, run)
                assert json.loads(content)["error"].startswith("unknown run")
        assert get(server.address, "/runs/file/studies/small/report.html")[0] == 200


def test_a_file_that_is_replaced_by_a_link_is_refused(copied: Path) -> None:
    directory = RunsDirectory(copied)
    video = copied / "finished/clip.mp4"
    assert directory.file("finished/clip.mp4") == video
    video.unlink()
    os.link(copied / "finished/config.toml", copied / "other")
    video.symlink_to(copied / "other")
    with pytest.raises(InputError, match="no report or video"):
        directory.file("finished/clip.mp4")


def test_a_report_cannot_reach_the_page_and_videos_can_be_sent_in_parts(server: Server) -> None:
    status, headers, content = get(server.address, "/runs/file/studies/small/report.html")
    assert (status, headers["content-type"]) == (200, "text/html; charset=utf-8")
    policy = headers["content-security-policy"]
    assert policy.startswith("sandbox; default-src 'none'; style-src 'unsafe-inline'")
    assert "script" not in policy
    assert b"Report" in content
    status, headers, content = get(
        server.address, "/runs/file/finished/clip.mp4", Range="bytes=10-19"
    )
    assert (status, headers["content-type"], len(content)) == (206, "video/mp4", 10)
    assert "default-src 'self'" in headers["content-security-policy"]


def test_tables_and_files_need_the_token_and_the_name_of_the_server(trained: Path) -> None:
    paths = ["/runs", "/runs/list", "/runs/compare?run=finished", "/runs/file/finished/clip.mp4"]
    with serving(trained, host="0.0.0.0") as server:
        for path in paths:
            mark = "&" if "?" in path else "?"
            assert get(f"http://127.0.0.1:{server.port}", path)[0] == 403
            wrong = f"{path}{mark}token=wrong"
            assert get(f"http://127.0.0.1:{server.port}", wrong)[0] == 403
            right = f"{path}{mark}token={server.token}"
            assert get(f"http://127.0.0.1:{server.port}", right)[0] == 200
    with serving(trained) as server:
        for path in paths:
            assert get(server.address, path, host="evil.example")[0] == 403


def test_bad_queries_have_an_answer_of_one_line(server: Server, trained: Path) -> None:
    many = urlencode({"run": ["finished"] * 20}, doseq=True)
    assert get(server.address, f"/runs/compare?{many}")[0] == 200  # the same run many times
    for query in (
        "run=finished&after=-1",
        "run=finished&after=1e9",
        f"run=finished&after={'9' * 5000}",
    ):
        assert get(server.address, f"/runs/curves?{query}")[0] == 200
    with pytest.raises(InputError, match="at most 8"):
        compare_runs([("finished", Run(trained / "finished"))] * 9)


def test_folders_are_searched_to_a_limited_depth(trained: Path, tmp_path: Path) -> None:
    deep = tmp_path.joinpath(*"abcdefgh")
    for depth in (MAX_DEPTH, MAX_DEPTH + 1):
        place = Path(*deep.parts[: len(tmp_path.parts) + depth - 1])
        shutil.copytree(trained / "finished", place / f"run{depth}")
    [(name, path)] = find_files(tmp_path).runs.items()
    assert path.name == f"run{MAX_DEPTH}"
    assert name in PolicyList(tmp_path).read()  # the Arcade offers the same runs
