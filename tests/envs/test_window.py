"""Windows: they show images and read keys; a missing display or library is an input error."""

import sys
from typing import Any

import numpy as np
import pytest

from gridcade.envs import registry
from gridcade.envs.tabular import TabularEnv
from gridcade.envs.window import Window
from gridcade.errors import InputError


@pytest.fixture
def pygame() -> Any:
    """pygame, which draws into memory: the suite sets SDL_VIDEODRIVER to `dummy`."""
    return pytest.importorskip("pygame")


def make_four_rooms(render_mode: str) -> TabularEnv:
    env = registry.make("FourRooms", render_mode=render_mode).unwrapped
    assert isinstance(env, TabularEnv)
    return env


def test_human_rendering_shows_each_step(pygame: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(TabularEnv.metadata, "render_fps", 1000)
    human, reference = make_four_rooms("human"), make_four_rooms("rgb_array")
    human.reset(seed=4)
    reference.reset(seed=4)
    assert pygame.display.get_caption()[0] == "Four rooms"
    for action in (1, 1, 2, 3):
        human.step(action)
        reference.step(action)
        shown = pygame.surfarray.array3d(pygame.display.get_surface()).swapaxes(0, 1)
        np.testing.assert_array_equal(shown, reference.render())
    assert human.render() is None
    human.close()
    assert not pygame.display.get_init()
    human.close()  # closing twice is allowed


def test_a_window_scales_images_and_reads_keys(pygame: Any) -> None:
    window = Window("keys", 40, 30)
    window.show(np.full((60, 80, 3), 200, dtype=np.uint8), fps=1000)
    shown = pygame.surfarray.array3d(pygame.display.get_surface())
    assert shown.shape == (40, 30, 3)
    assert (shown == 200).all()
    for key in (pygame.K_UP, pygame.K_a):
        pygame.event.post(pygame.event.Event(pygame.KEYDOWN, key=key))
    pygame.event.post(pygame.event.Event(pygame.KEYUP, key=pygame.K_a))
    pygame.event.post(pygame.event.Event(pygame.QUIT))
    assert window.keys() == ["up", "a", "escape"]
    assert window.keys() == []
    assert pygame.display.get_init()  # the window is open until it is closed
    window.close()
    assert not pygame.display.get_init()


def test_a_missing_display_is_an_input_error(pygame: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    pygame.display.quit()
    monkeypatch.setenv("SDL_VIDEODRIVER", "nonsense")
    with pytest.raises(InputError, match="cannot open a window: "):
        Window("x", 10, 10)


def test_a_missing_pygame_is_an_input_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pygame", None)
    with pytest.raises(InputError, match=r"pip install 'gridcade\[window\]'"):
        Window("x", 10, 10)
    env = registry.make("FourRooms", render_mode="human")
    with pytest.raises(InputError, match="a window requires pygame-ce"):
        env.reset(seed=0)
