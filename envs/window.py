"""A window for pictures, by pygame-ce; loaded only when one is opened."""

import os
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gridcade.errors import InputError


class Window:
    """One window that shows pictures and hears keys.

    Raises:
        InputError: pygame-ce is not installed, or there is no screen to open a window on.
    """

    def __init__(self, title: str, width: int, height: int):
        os.environ.setdefault("PYGAME_HIDE_SUPPORT_PROMPT", "1")
        try:
            import pygame
        except ImportError:
            raise InputError("a window needs pygame-ce: pip install 'gridcade[window]'") from None
        self._pygame: Any = pygame
        try:
            pygame.display.init()
            self._screen = pygame.display.set_mode((width, height))
        except pygame.error as error:
            raise InputError(f"cannot open a window here: {error}") from None
        if pygame.display.get_driver() == "offscreen" and "SDL_VIDEODRIVER" not in os.environ:
            pygame.display.quit()  # SDL found no screen, and would draw into memory for nobody
            raise InputError("no screen to open a window on; watch in a terminal, or write a video")
        pygame.display.set_caption(title)
        self._clock = pygame.time.Clock()

    def show(self, picture: NDArray[np.uint8], fps: float) -> None:
        """Show a picture (uint8, height x width x 3), no sooner than 1 / fps after the last one."""
        surface = self._pygame.surfarray.make_surface(picture.swapaxes(0, 1))
        if surface.get_size() != self._screen.get_size():
            surface = self._pygame.transform.scale(surface, self._screen.get_size())
        self._screen.blit(surface, (0, 0))
        self._pygame.display.flip()
        self._pygame.event.pump()
        self._clock.tick(fps)

    def keys(self) -> list[str]:
        """The names of the keys pressed since the last call; closing the window is `escape`."""
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
