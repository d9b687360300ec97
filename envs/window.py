"""A window that shows pictures. pygame-ce is imported only when a window is opened."""

import os
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gridcade.errors import InputError


class Window:
    """A window that shows pictures and reads keys.

    Args:
        title: the window's caption.
        width: width in pixels.
        height: height in pixels.

    Raises:
        InputError: pygame-ce is not installed, or there is no screen.
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
            raise InputError(f"cannot open a window: {error}") from None
        if pygame.display.get_driver() == "offscreen" and "SDL_VIDEODRIVER" not in os.environ:
            pygame.display.quit()  # SDL found no screen, and would draw into memory
            raise InputError("cannot open a window: no screen; use a terminal, or write a video")
        pygame.display.set_caption(title)
        self._clock = pygame.time.Clock()

    def show(self, picture: NDArray[np.uint8], fps: float) -> None:
        """Show a picture, at least 1 / fps seconds after the previous one.

        Args:
            picture: uint8, [height, width, 3]; scaled to the window's size.
            fps: frames per second.
        """
        surface = self._pygame.surfarray.make_surface(picture.swapaxes(0, 1))
        if surface.get_size() != self._screen.get_size():
            surface = self._pygame.transform.scale(surface, self._screen.get_size())
        self._screen.blit(surface, (0, 0))
        self._pygame.display.flip()
        self._pygame.event.pump()
        self._clock.tick(fps)

    def keys(self) -> list[str]:
        """Return the names of the keys pressed since the last call.

        Closing the window counts as `escape`.
        """
        names = []
        for event in self._pygame.event.get():
            if event.type == self._pygame.QUIT:
                names.append("escape")
            elif event.type == self._pygame.KEYDOWN:
                names.append(self._pygame.key.name(event.key))
        return names

    def close(self) -> None:
        """Close the window."""
        self._pygame.display.quit()
