"""The window: its pictures, its keys, and the errors if a screen or package is missing."""

import os
import subprocess
import sys
from typing import Any

import pytest

from gridcade.envs import registry
from gridcade.envs.window import Window
from gridcade.errors import InputError


def run(program: str, driver: str = "dummy") -> list[str]:
    """Run a program without a screen, and return the lines that it prints."""
    env = {**os.environ, "SDL_VIDEODRIVER": driver}
    done = subprocess.run(
        [sys.executable, "-c", program], env=env, capture_output=True, text=True, timeout=250
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


SHOW = """
import numpy as np
import pygame
from gridcade.envs import registry

human = registry.make("FourRooms", render_mode="human")
drawn = registry.make("FourRooms", render_mode="rgb_array")
for env in (human, drawn):
    env.unwrapped.metadata = {**env.unwrapped.metadata, "render_fps": 1000}
    env.reset(seed=4)
print(pygame.display.get_caption()[0])
for action in (1, 1, 2, 3):
    human.step(action), drawn.step(action)
    shown = pygame.surfarray.array3d(pygame.display.get_surface()).swapaxes(0, 1)
    print(np.array_equal(shown, drawn.render()))
print(human.render())
human.close()
print(pygame.display.get_init())
human.close()
"""


def test_window_shows_each_step() -> None:
    pytest.importorskip("pygame")
    assert run(SHOW) == ["Four rooms", "True", "True", "True", "True", "None", "False"]


KEYS = """
import numpy as np
import pygame
from gridcade.envs.window import Window

window = Window("keys", 40, 30)
window.show(np.full((60, 80, 3), 200, dtype=np.uint8), fps=1000)
shown = pygame.surfarray.array3d(pygame.display.get_surface())
print(shown.shape, shown.min(), shown.max())
for key in (pygame.K_UP, pygame.K_a):
    pygame.event.post(pygame.event.Event(pygame.KEYDOWN, key=key))
pygame.event.post(pygame.event.Event(pygame.KEYUP, key=pygame.K_a))
pygame.event.post(pygame.event.Event(pygame.QUIT))
print(window.keys(), window.keys(), pygame.display.get_init())
window.close()
print(pygame.display.get_init())
"""


def test_window_scales_pictures_and_reads_keys() -> None:
    pytest.importorskip("pygame")
    assert run(KEYS) == ["(40, 30, 3) 200 200", "['up', 'a', 'escape'] [] True", "False"]


def test_missing_screen_is_an_input_error() -> None:
    pytest.importorskip("pygame")
    program = """
from gridcade.envs.window import Window
from gridcade.errors import InputError
try:
    Window("x", 10, 10)
except InputError as error:
    print(error)
"""
    [message] = run(program, driver="nonsense")
    assert message.startswith("cannot open a window: ")


def test_missing_pygame_is_an_input_error(monkeypatch: pytest.MonkeyPatch) -> None:
    missing: Any = None
    monkeypatch.setitem(sys.modules, "pygame", missing)
    with pytest.raises(InputError, match=r"pip install 'gridcade\[window\]'"):
        Window("x", 10, 10)
    env = registry.make("FourRooms", render_mode="human")
    with pytest.raises(InputError, match="a window needs pygame-ce"):
        env.reset(seed=0)
