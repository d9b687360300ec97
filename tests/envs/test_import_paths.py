"""Environments by import path: a class or a function of a file or module, or a registered id."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import gymnasium as gym
import pytest

from gridcade.envs import registry
from gridcade.envs.imports import is_import_path, split_import_path
from gridcade.envs.objects import identity
from gridcade.errors import InputError

CODE = """
import gymnasium as gym
from helper_of_mine import STEPS

class Mine(gym.Env):
    def __init__(self, size=5, render_mode=None):
        if size > 99:
            raise RuntimeError("too large")
        self.size, self.render_mode = size, render_mode
        self.observation_space = gym.spaces.Discrete(size)
        self.action_space = gym.spaces.Discrete(2)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.place = 0
        return 0, {}

    def step(self, action):
        self.place = max(0, self.place + 2 * int(action) - 1)
        return self.place, -1.0, self.place == self.size - 1, False, {}

class NoEnvironment:
    pass

def corridor(size=7):
    return gym.wrappers.TimeLimit(Mine(size), STEPS)

def nothing():
    return None

limits = 7
gym.register("Corridor-v0", entry_point=Mine, max_episode_steps=30, kwargs={"size": 6})
"""


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A directory with a user's environment. Modules imported from it are removed at the end."""
    (tmp_path / "my_env.py").write_text(CODE)
    (tmp_path / "helper_of_mine.py").write_text("STEPS = 50\n")
    (tmp_path / "my_package").mkdir()
    (tmp_path / "my_package" / "__init__.py").write_text("")
    (tmp_path / "my_package" / "worlds.py").write_text(CODE.replace("Corridor-v0", "Packed-v0"))
    monkeypatch.chdir(tmp_path)
    path = [*sys.path]
    yield tmp_path
    sys.path[:] = path
    for name, module in list(sys.modules.items()):
        if str(getattr(module, "__file__", None)).startswith(str(tmp_path)):
            del sys.modules[name]  # other new modules stay, because ale_py cannot be imported twice
    for id_ in ("Corridor-v0", "Packed-v0", "corridor"):
        gym.registry.pop(id_, None)


@pytest.mark.parametrize(
    ("name", "is_path"),
    [
        ("my_env.py:Mine", True),
        (r"C:\envs\mine.py:Mine", True),
        ("my_env.py", True),
        ("package.module:Name-v0", True),
        ("package.module:Name?size=3", True),
        (r"C:\maps\mine.txt", False),
        (r"C:\maps\mine", False),
        ("FourRooms", False),
        ("Maze?a=b:c", False),
        ("ALE/Pong-v5", False),
    ],
)
def test_import_paths_are_distinguished_from_other_names(name: str, is_path: bool) -> None:
    assert is_import_path(name) == is_path


def test_an_import_path_is_split_at_its_last_colon() -> None:
    assert split_import_path(r"C:\envs\mine.py:Mine") == (r"C:\envs\mine.py", "Mine")


@pytest.mark.usefixtures("here")
@pytest.mark.parametrize(
    ("name", "states", "limit"),
    [
        ("my_env.py:Mine", 5, None),
        ("./my_env.py:Mine?size=9", 9, None),
        ("my_env.py:Mine?size=9&max_episode_steps=20", 9, 20),
        ("my_env.py:corridor", 7, 50),
        ("my_env.py:corridor?size=4", 4, 50),
        ("my_env.py:Corridor-v0", 6, 30),
        ("my_env:Corridor-v0", 6, 30),
        ("my_package.worlds:Mine", 5, None),
        ("my_package.worlds:Packed-v0?size=8", 8, 30),
    ],
)
def test_own_environments_are_made_by_their_import_path(
    name: str, states: int, limit: int | None
) -> None:
    env = registry.make(name)
    assert isinstance(env.observation_space, gym.spaces.Discrete)
    assert env.observation_space.n == states
    assert registry.time_limit(env) == limit
    assert registry.name_of(env) == name.replace("&max_episode_steps=20", "")
    assert registry.label_of(env) == name.partition("?")[0]
    assert registry.is_environment(name)
    with pytest.raises(InputError, match=r"unknown argument of .* 'sise'; did you mean size?"):
        registry.make(f"{name.partition('?')[0]}?sise=3")


def test_an_attribute_takes_precedence_over_an_id_of_the_same_name(here: Path) -> None:
    (here / "both.py").write_text(f"{CODE}\ngym.register('corridor', entry_point=Mine)\n")
    assert registry.time_limit(registry.make("both.py:corridor")) == 50


@pytest.mark.filterwarnings("ignore:.*Overriding environment")
def test_a_file_is_run_once_and_again_when_it_changes(here: Path) -> None:
    counting = here / "counting.py"
    counting.write_text(f"{CODE}\nopen('runs.txt', 'a').write('x')\n")
    for _ in range(3):
        registry.make("counting.py:Mine")
    assert (here / "runs.txt").read_text() == "x"
    counting.write_text(CODE.replace("size=5", "size=8"))
    assert registry.make("counting.py:Mine").observation_space == gym.spaces.Discrete(8)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("my_env.py", "the environments in it are: Mine, Corridor-v0; name one: my_env.py:Mine"),
        ("my_env.py:Mien", "unknown environment of my_env.py 'Mien'; did you mean Mine?"),
        ("my_env.py:coridor", "did you mean corridor?"),
        ("my_env:Corridor-v1", "unknown environment of my_env 'Corridor-v1'; did you mean Corr"),
        ("my_envv:Mine", "no module 'my_envv'; did you mean my_env?"),
        ("my_package.world:Mine", "did you mean my_package.worlds?"),
        ("my_en.py:Mine", "no file 'my_en.py'; did you mean my_env.py?"),
        ("my_env.py:NoEnvironment", "'my_env.py:NoEnvironment' is not a subclass of gymnasium.Env"),
        ("my_env.py:limits", "'my_env.py:limits' is 7; name a class, or a function"),
        ("my_env.py:nothing", "must inherit from the gymnasium.Env class"),
        ("my_env.py:Mine?size=100", "RuntimeError: too large (my_env.py:8, in __init__)"),
        ("broken.py:Mine", "cannot import 'broken.py': SyntaxError"),
        ("missing.py:Mine", "No module named 'nowhere' (missing.py:1)"),
        ("quits.py:Mine", "cannot import 'quits.py': SystemExit: 3 (quits.py:2)"),
    ],
)
def test_a_mistake_in_an_import_path_is_one_line(here: Path, name: str, message: str) -> None:
    (here / "broken.py").write_text("class Mine(\n")
    (here / "missing.py").write_text("import nowhere\n")
    (here / "quits.py").write_text("import sys\nsys.exit(3)\n")
    with pytest.raises(InputError) as caught:
        registry.make(name)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.usefixtures("here")
def test_an_unknown_id_names_the_form_with_its_package() -> None:
    with pytest.raises(InputError, match="if a package registers it, write PACKAGE:Corridor-v0"):
        registry.make("Corridor-v0")
    with pytest.raises(InputError, match="write mine:mine/Corridor-v0"):
        registry.make("mine/Corridor-v0")


@pytest.mark.usefixtures("here")
def test_the_name_of_a_registered_environment_contains_its_module() -> None:
    """Another process, such as the command line, finds it by this name."""
    registry.make("my_package.worlds:Packed-v0")
    name = "my_package.worlds:Packed-v0?size=8"
    registered = gym.make("Packed-v0", size=8)
    assert registry.name_of(registered) == name
    assert identity(registered, registered) == (name, "name")
    assert identity("Packed-v0?size=8", registered) == (name, "name")


PARSED_TWICE = """
from gridcade.envs import registry
from gridcade.errors import InputError

for name in ("Breakout", "BreakoutNoFrameskip-v4", "Breakout-v0", "BreakoutDeterministic-v4"):
    answers = []
    for _ in range(2):
        try:
            answers.append(str(registry.parse(name)))
        except InputError as error:
            answers.append(str(error))
    first, second = answers
    assert first == second, answers
    print(first)
before = registry.short_names()
import ale_py, minigrid
assert registry.short_names() == before
"""


def test_names_have_the_same_meaning_whatever_was_imported_before() -> None:
    """ale-py registers its ids when it is imported, which the first call of `parse` does."""
    done = subprocess.run(
        [sys.executable, "-c", PARSED_TWICE], capture_output=True, text=True, env={**os.environ}
    )
    assert done.returncode == 0, done.stderr
    game, no_frameskip, sticky, deterministic = done.stdout.splitlines()
    assert game == "('ALE/Breakout-v5', {})"
    assert "write Breakout (protocol nature2015), or Breakout?protocol=mach" in no_frameskip
    assert "write Breakout?sticky=0.25" in sticky
    assert "write Breakout (" in deterministic


def test_another_version_goes_before_an_atari_game_of_that_name() -> None:
    with pytest.raises(InputError, match="unknown environment 'Taxi-v3'; did you mean Taxi-v4"):
        registry.make("Taxi-v3")
