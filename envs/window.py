"""A window that shows images. pygame-ce is imported when the first window opens."""

import os
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gridcade.errors import InputError


class Window:
    """A window that shows images and reads keys.

    Args:
        title: the window's title.
        width: in pixels.
        height: in pixels.

    Raises:
        InputError: pygame-ce is not installed, or the machine has no display.
    """

    def __init__(self, title: str, width: int, height: int):
        os.environ.setdefault("PYGAME_HIDE_SUPPORT_PROMPT", "1")
        try:
            import pygame
        except ImportError:
            raise InputError(
                "a window requires pygame-ce; install it: pip install 'gridcade[window]'"
            ) from None
        self._pygame: Any = pygame
        try:
            pygame.display.init()
            self._screen = pygame.display.set_mode((width, height))
        except pygame.error as error:
            raise InputError(f"cannot open a window: {error}") from None
        # Without a display SDL falls back to its offscreen driver, whose window nobody sees.
        if pygame.display.get_driver() == "offscreen" and "SDL_VIDEODRIVER" not in os.environ:
            pygame.display.quit()
            raise InputError(
                "cannot open a window: no display found; watch in the terminal or write a video"
            )
        pygame.display.set_caption(title)
        self._clock = pygame.time.Clock()

    def show(self, image: NDArray[np.uint8], fps: float) -> None:
        """Show an image, [height, width, 3], and wait until 1 / fps seconds after the last one."""
        surface = self._pygame.surfarray.make_surface(image.swapaxes(0, 1))
        if surface.get_size() != self._screen.get_size():
            surface = self._pygame.transform.scale(surface, self._screen.get_size())
        self._screen.blit(surface, (0, 0))
        self._pygame.display.flip()
        self._pygame.event.pump()
        self._clock.tick(fps)

    def keys(self) -> list[str]:
        """The names of the keys pressed since the last call; closing the window adds `escape`."""
        pressed = []
        for event in self._pygame.event.get():
            if event.type == self._pygame.QUIT:
                pressed.append("escape")
            elif event.type == self._pygame.KEYDOWN:
                pressed.append(self._pygame.key.name(event.key))
        return pressed

    def close(self) -> None:
        """Close the window."""
        self._pygame.display.quit()
