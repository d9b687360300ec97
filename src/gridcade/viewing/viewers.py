"""Viewers: they show the frames of episodes in a terminal or a window, at a speed set by keys."""

import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from itertools import chain

from gridcade.envs.rendering import Overlay
from gridcade.envs.types import Env
from gridcade.evaluation.policies import Quit
from gridcade.formatting import format_number
from gridcade.recording.frames import END_PAUSE, Frame, overlay_pictures
from gridcade.recording.pictures import Picture
from gridcade.viewing.legend import legend_lines
from gridcade.viewing.playback import Pace, Playback
from gridcade.viewing.terminal import TerminalScreen
from gridcade.viewing.text_pictures import color_depth, frame_lines, screen_lines

REDRAW_INTERVAL = 0.1  # seconds, while paused: the terminal's size may change
MIN_WINDOW_SIDE = 640  # pixels, roughly, of the longer side
SCREEN_MARGIN = 4  # rows of the screen around the picture and its legend
MIN_PICTURE_ROWS = 8  # a smaller picture has no legend


@dataclass(frozen=True)
class Presentation:
    """What a viewer shows beside the frames.

    Attributes:
        env: the environment that the frames come from.
        value_overlay: the policy's values and probabilities; None: it has none.
        title: the first line of the screen, or the window's caption.
        episodes: number of episodes.
    """

    env: Env
    value_overlay: Overlay | None
    title: str
    episodes: int


def remember(frames: Iterable[Frame], episodes: dict[int, Frame]) -> Iterator[Frame]:
    """Yield frames, and keep the latest one of each episode, by the episode's number."""
    for frame in frames:
        episodes[frame.episode] = frame
        yield frame


def episode_text(episode: int, steps: int, episode_return: float, end: str) -> str:
    """Say what an episode scored; `end` is how it ended, "" if it was interrupted."""
    score = f"return {format_number(episode_return)} in {steps:,} steps"
    return f"episode {episode}: {score}, {end or 'interrupted'}"


def picture_with_legend(
    picture: Picture,
    agent: tuple[int, int] | None,
    env: Env,
    value_overlay: Overlay | None,
    columns: int,
    rows: int,
    agent_name: str = "agent",
) -> list[str]:
    """Turn a picture into lines of text, with a legend below it if the screen is large enough.

    Args:
        picture: uint8, [height, width, 3].
        agent: row and column of the agent; None: not drawn.
        env: the environment that the picture shows.
        value_overlay: a policy's values and probabilities; None: only the picture is drawn.
        columns: of the screen.
        rows: of the screen.
        agent_name: what the legend calls the agent.
    """
    rows -= SCREEN_MARGIN
    legend = legend_lines(env, value_overlay, agent_name, columns, color_depth(sys.stdout))
    if not legend or rows - len(legend) - 1 < MIN_PICTURE_ROWS:
        return frame_lines(picture, agent, env, value_overlay, columns, rows)
    rows -= len(legend) + 1  # with an empty line above the legend
    return [*frame_lines(picture, agent, env, value_overlay, columns, rows), "", *legend]


def show_in_terminal(frames: Iterator[Frame], show: Presentation, playback: Playback) -> None:
    """Show frames in the terminal, until they end or the user quits.

    Raises:
        InputError: the standard output is not a terminal.
    """
    first = next(frames)  # an environment that cannot be drawn fails on the ordinary screen
    with suppress(Quit), TerminalScreen() as screen:
        viewer = TerminalViewer(screen, show, playback)
        for frame in chain([first], frames):
            viewer.show(frame)


class TerminalViewer:
    """Shows frames on the terminal's screen, each for the time of a step."""

    def __init__(self, screen: TerminalScreen, show: Presentation, playback: Playback):
        self._screen, self._show, self._playback = screen, show, playback
        self._pace = Pace(playback.fps)

    def show(self, frame: Frame) -> None:
        """Show a frame for a step, or for END_PAUSE seconds if the episode ends with it.

        Raises:
            Quit: the user quits.
        """
        end = time.monotonic() + (END_PAUSE if frame.end else 0)
        self._show_for_a_step(frame)
        while time.monotonic() < end:
            self._show_for_a_step(frame)

    def _show_for_a_step(self, frame: Frame) -> None:
        self._draw(frame)
        self._pace.wait(self._handle_keys)
        self._handle_keys(0)  # if drawing took longer than the step, the pace did not wait for keys
        if not self._playback.paused:
            return
        while self._playback.paused:
            self._draw(frame)
            self._handle_keys(REDRAW_INTERVAL)
        self._draw(frame)
        # A new pace waits for one step, so that pressing space twice shows the next frame.
        self._pace = Pace(self._playback.fps)
        self._pace.wait(self._handle_keys)

    def _handle_keys(self, timeout: float) -> None:
        self._playback.handle_keys(self._screen.keys(timeout))
        self._pace.interval = 1 / self._playback.fps

    def _draw(self, frame: Frame) -> None:
        columns, rows = self._screen.size()
        state = "paused" if self._playback.paused else frame.end
        status = (
            f"episode {frame.episode} of {self._show.episodes}   step {frame.steps}   "
            f"return {frame.episode_return:.6g}   {state}"
        )
        speed = f"{self._playback.fps:.3g} steps/s"
        keys = f"q quits, space pauses, + and - change the speed ({speed})"
        body = picture_with_legend(
            frame.picture, frame.agent, self._show.env, self._show.value_overlay, columns, rows
        )
        self._screen.show(screen_lines(self._show.title, status, body, keys, columns, rows))


def show_in_window(frames: Iterator[Frame], show: Presentation, playback: Playback) -> None:
    """Show frames in a window, until they end or the user quits.

    Raises:
        InputError: pygame-ce is not installed, or there is no screen.
    """
    from gridcade.envs.window import Window

    pictures = overlay_pictures(frames, show.env, show.value_overlay, playback.fps)
    first = next(pictures)
    height, width = first.shape[:2]
    scale = max(1, MIN_WINDOW_SIDE // max(height, width))  # an Atari screen is small
    window = Window(show.title, scale * width, scale * height)
    try:
        for picture in chain([first], pictures):
            window.show(picture, playback.fps)
            playback.handle_keys(window.keys())
            while playback.paused:
                window.show(picture, playback.fps)
                playback.handle_keys(window.keys())
    except Quit:
        pass
    finally:
        window.close()
