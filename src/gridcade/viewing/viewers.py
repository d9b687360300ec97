"""Viewers, which show frames in a terminal or a window; keys pause and change the speed."""

import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from itertools import chain
from typing import Generic, Protocol, TypeVar

from gridcade.envs.rendering import Overlay
from gridcade.envs.types import Env
from gridcade.evaluation.policies import Quit
from gridcade.formatting import format_number
from gridcade.recording.frames import END_PAUSE, Frame, overlay_pictures
from gridcade.recording.pictures import Picture
from gridcade.viewing.legend import legend_lines
from gridcade.viewing.playback import Pace, Playback
from gridcade.viewing.terminal import VIDEO, TerminalScreen
from gridcade.viewing.text_pictures import color_depth, frame_lines, screen_lines

REDRAW_INTERVAL = 0.1  # seconds, while paused, because the terminal may be resized
MIN_WINDOW_SIDE = 640  # pixels, roughly, of the longer side
SCREEN_MARGIN = 4  # rows of the screen around the picture and its legend
MIN_PICTURE_ROWS = 8  # a smaller picture has no legend


class Scene(Protocol):
    """What a viewer shows at one moment."""

    @property
    def end(self) -> str:
        """How the episode, or all that is shown, ends with this scene; "" if it goes on."""
        ...


S = TypeVar("S", bound=Scene)
# Draws a scene as text that fits into columns and rows: the status line, and the picture's lines.
Draw = Callable[[S, int, int], tuple[str, list[str]]]


@dataclass(frozen=True)
class Presentation:
    """What a viewer shows in addition to the frames.

    Attributes:
        env: the environment that the frames come from.
        value_overlay: the policy's values and action probabilities; None: not drawn.
        title: the first line of the screen, or the window's caption.
        episodes: number of episodes.
    """

    env: Env
    value_overlay: Overlay | None
    title: str
    episodes: int

    def draw(self, frame: Frame, columns: int, rows: int) -> tuple[str, list[str]]:
        """Draw a frame; see `Draw`."""
        status = (
            f"episode {frame.episode} of {self.episodes}   step {frame.steps}   "
            f"return {frame.episode_return:.6g}"
        )
        body = picture_with_legend(
            frame.picture, frame.agent, self.env, self.value_overlay, columns, rows
        )
        return status, body


def remember(frames: Iterable[Frame], episodes: dict[int, Frame]) -> Iterator[Frame]:
    """Yield frames, and keep the latest one of each episode, by the episode's number."""
    for frame in frames:
        episodes[frame.episode] = frame
        yield frame


def episode_text(episode: int, steps: int, episode_return: float, end: str) -> str:
    """Say what an episode scored; `end` says how it ended, "" if it was interrupted."""
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
        columns: columns of the screen.
        rows: rows of the screen.
        agent_name: what the legend calls the agent.
    """
    rows -= SCREEN_MARGIN
    legend = legend_lines(env, value_overlay, agent_name, columns, color_depth(sys.stdout))
    if not legend or rows - len(legend) - 1 < MIN_PICTURE_ROWS:
        return frame_lines(picture, agent, env, value_overlay, columns, rows)
    rows -= len(legend) + 1  # with an empty line above the legend
    return [*frame_lines(picture, agent, env, value_overlay, columns, rows), "", *legend]


def show_in_terminal(
    scenes: Iterator[S],
    title: str,
    draw: Draw[S],
    playback: Playback,
    unit: str = "steps",
    instead: str = VIDEO,
) -> None:
    """Show scenes in the terminal, until they end or the user quits.

    Args:
        scenes: the scenes to show.
        title: the first line of the screen.
        draw: function that draws a scene.
        playback: the speed.
        unit: the unit of the speed, per second.
        instead: what the user can do without a terminal, for the error.

    Raises:
        InputError: the standard output is not a terminal.
    """
    first = next(scenes)  # an environment that cannot be drawn fails on the ordinary screen
    with suppress(Quit), TerminalScreen(instead=instead) as screen:
        viewer = TerminalViewer(screen, title, draw, playback, unit)
        for scene in chain([first], scenes):
            viewer.show(scene)


class TerminalViewer(Generic[S]):
    """Shows scenes on the terminal's screen, each for the time of a step."""

    def __init__(
        self, screen: TerminalScreen, title: str, draw: Draw[S], playback: Playback, unit: str
    ):
        self._screen, self._title, self._draw_scene = screen, title, draw
        self._playback, self._unit = playback, unit
        self._pace = Pace(playback.fps)

    def show(self, scene: S) -> None:
        """Show a scene for a step, or for at least END_PAUSE seconds if its `end` is not empty.

        Raises:
            Quit: the user quits.
        """
        end = time.monotonic() + (END_PAUSE if scene.end else 0)
        self._show_for_a_step(scene)
        while time.monotonic() < end:
            self._show_for_a_step(scene)

    def _show_for_a_step(self, scene: S) -> None:
        self._draw(scene)
        self._pace.wait(self._handle_keys)
        self._handle_keys(0)  # if drawing took longer than the step, the pace did not wait for keys
        if not self._playback.paused:
            return
        while self._playback.paused:
            self._draw(scene)
            self._handle_keys(REDRAW_INTERVAL)
        self._draw(scene)
        # A new pace waits for one step, so that pressing space twice shows the next frame.
        self._pace = Pace(self._playback.fps)
        self._pace.wait(self._handle_keys)

    def _handle_keys(self, timeout: float) -> None:
        self._playback.handle_keys(self._screen.keys(timeout))
        self._pace.interval = 1 / self._playback.fps

    def _draw(self, scene: S) -> None:
        columns, rows = self._screen.size()
        status, body = self._draw_scene(scene, columns, rows)
        status += f"   {'paused' if self._playback.paused else scene.end}"
        speed = f"{self._playback.fps:.3g} {self._unit}/s"
        keys = f"q quits, space pauses, + and - change the speed ({speed})"
        self._screen.show(screen_lines(self._title, status, body, keys, columns, rows))


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
