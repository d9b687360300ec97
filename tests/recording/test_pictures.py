"""What an environment renders becomes a picture with the same colors, or an error of one line."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from PIL import Image, ImageSequence

from gridcade import api
from gridcade.errors import InputError
from gridcade.evaluation.policies import random_policy
from gridcade.recording.frames import render_picture
from gridcade.recording.pictures import fit, to_picture

SHAPE = (8, 12, 3)
PICTURE = np.arange(8 * 12 * 3, dtype=np.uint8).reshape(SHAPE) % 200 + 20
GRAY = PICTURE[:, :, 1]

SAME: dict[str, Callable[[], Any]] = {  # render the same colors in other ways
    "bytes": lambda: PICTURE,
    "floats from 0 to 1": lambda: PICTURE / 255,
    "float32 from 0 to 1": lambda: (PICTURE / 255).astype(np.float32),
    "floats from 0 to 255": lambda: PICTURE.astype(float),
    "int64": lambda: PICTURE.astype(np.int64),
    "nested lists": PICTURE.tolist,
    "nested lists of floats": (PICTURE / 255).tolist,
    "alpha": lambda: np.concatenate([PICTURE, np.full((8, 12, 1), 9, np.uint8)], axis=2),
    "channels first": lambda: PICTURE.transpose(2, 0, 1),
    "a list of frames": lambda: [PICTURE * 0, PICTURE],
    "an array of frames": lambda: np.stack([PICTURE * 0, PICTURE]),
}


class Drawn(gym.Env[Any, Any]):
    """An environment with episodes of three steps, which renders what a function returns."""

    observation_space = gym.spaces.Discrete(1)
    action_space = gym.spaces.Discrete(2)
    metadata = {"render_modes": ["rgb_array"], "render_fps": 5}  # noqa: RUF012 - Gymnasium's
    render_mode: str | None = "rgb_array"

    def __init__(self, draw: Callable[[int], Any]):
        self.draw, self.time = draw, 0

    def reset(self, **options: Any) -> tuple[int, dict[str, Any]]:
        super().reset(seed=options.get("seed"))
        self.time = 0
        return 0, {}

    def step(self, action: int) -> tuple[int, float, bool, bool, dict[str, Any]]:
        del action
        self.time += 1
        return 0, 1.0, self.time == 3, False, {}

    def render(self) -> Any:
        return self.draw(self.time)


@pytest.mark.parametrize("name", SAME)
def test_the_same_colors_are_the_same_picture(name: str) -> None:
    np.testing.assert_array_equal(render_picture(Drawn(lambda _: SAME[name]())), PICTURE)


@pytest.mark.parametrize("gray", [GRAY, GRAY[:, :, None], GRAY / 255, GRAY.tolist()])
def test_gray_pictures_have_three_equal_channels(gray: Any) -> None:
    np.testing.assert_array_equal(to_picture(gray), np.stack([GRAY] * 3, axis=2))


def test_bools_are_black_and_white() -> None:
    shown = to_picture(np.eye(4, dtype=bool))
    assert shown.tolist() == (np.eye(4, dtype=np.uint8)[:, :, None].repeat(3, 2) * 255).tolist()


def test_floats_that_are_no_colors_stay_between_black_and_white() -> None:
    picture = PICTURE / 255
    picture[0, 0] = np.nan, 1 + 1e-6, -0.5
    assert to_picture(picture)[0, 0].tolist() == [0, 255, 0]


@pytest.mark.parametrize(
    ("rendered", "found"),
    [
        (None, "nothing"),
        ("\n S.G", "a str"),
        ([[1, 2], [3]], "rows of different lengths"),
        ([], "an array of shape \\(0,\\)"),
        (np.zeros(7), "an array of shape \\(7,\\)"),
        (np.zeros((5, 5, 2)), "an array of shape \\(5, 5, 2\\)"),
        (np.zeros((0, 5, 3)), "an array of shape \\(0, 5, 3\\)"),
        (object(), "a object"),
    ],
)
def test_what_is_no_picture_is_an_error(rendered: Any, found: str) -> None:
    with pytest.raises(InputError, match=f"`render` returned {found}; a picture is an array"):
        render_picture(Drawn(lambda _: rendered))


def frames_of(file: Path) -> list[Any]:
    with Image.open(file) as image:
        return [np.asarray(frame.convert("RGB")) for frame in ImageSequence.Iterator(image)]


@pytest.mark.parametrize("suffix", [".webp", ".gif"])
def test_a_video_of_floats_is_not_black(tmp_path: Path, suffix: str) -> None:
    env = Drawn(lambda time: np.full((16, 16, 3), 0.2 + 0.2 * time))
    video = tmp_path / f"floats{suffix}"
    api.watch(random_policy(env), env, video=video, episodes=1)
    means = [int(frame.mean()) for frame in frames_of(video)]
    assert means == sorted(means)
    assert (means[0], means[-1]) == (51, 204)


def test_pictures_that_grow_are_fitted_into_the_first(tmp_path: Path) -> None:
    sizes = ((10, 20), (30, 20), (5, 40), (4, 4))
    env = Drawn(lambda time: np.full((*sizes[time], 3), 200, np.uint8))
    api.watch(random_policy(env), env, video=tmp_path / "grows.webp", episodes=1)
    frames = frames_of(tmp_path / "grows.webp")
    assert {frame.shape for frame in frames} == {(10, 20, 3)}
    shown = [(frame.max(axis=2) > 0).sum() for frame in (frames[0], frames[1], frames[-1])]
    assert shown == [10 * 20, 10 * 7, 4 * 4]


def test_a_picture_of_the_right_size_is_not_copied() -> None:
    assert fit(PICTURE, 8, 12) is PICTURE


def test_an_environment_without_a_render_mode_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)

    class Blind(Drawn):
        metadata = {"render_modes": []}  # noqa: RUF012 - Gymnasium's
        render_mode = None

        def __init__(self) -> None:
            super().__init__(lambda _: None)

    gym.register("Blind-v0", lambda **_: Blind())
    try:
        with pytest.raises(InputError, match="Blind-v0 has no picture to show: it has no render"):
            api.watch("random", "Blind-v0", video="blind.webp")
        with pytest.raises(InputError, match="`render` returned nothing"):
            api.watch("random", Blind(), video="blind.webp")
    finally:
        del gym.registry["Blind-v0"]
    assert not list(tmp_path.iterdir())
