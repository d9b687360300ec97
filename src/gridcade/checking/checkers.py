"""The checkers of Gymnasium and stable-baselines3; what they raise and warn of becomes findings."""

import re
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stdout
from importlib.util import find_spec
from io import StringIO

from gymnasium.utils.env_checker import check_env

from gridcade.checking.findings import Finding, Severity
from gridcade.envs.faults import one_line, place_of
from gridcade.envs.types import Env
from gridcade.errors import InputError, single_line

COLORS = re.compile(r"\x1b\[\d+m")
GYMNASIUM = "Gymnasium's checker"
SB3 = "stable-baselines3's checker"
# Warnings on how the checker was called, or on what another finding says.
LEFT_OUT = ("different from the unwrapped version", "`check_env(warn", "Deterministic step")


def gymnasium_findings(env: Env) -> list[Finding]:
    """Run Gymnasium's checker on an environment, which is reset and stepped."""

    def check() -> None:
        check_env(env.unwrapped, skip_render_check=True, skip_close_check=True)

    return _findings(GYMNASIUM, check, "problem", env)


def sb3_findings(env: Env) -> list[Finding]:
    """Run stable-baselines3's checker, if it is installed; what it refuses, others may take."""
    if find_spec("stable_baselines3") is None:
        return []
    from stable_baselines3.common import env_checker

    return _findings(SB3, lambda: env_checker.check_env(env, warn=True), "advice", env)


def _findings(
    checker: str, check: Callable[[], None], severity: Severity, env: Env
) -> list[Finding]:
    """Run a checker: its errors have a severity, and its warnings are advice."""
    failed: list[Finding] = []
    with _recorded_warnings() as texts:
        try:
            check()
        except InputError as error:
            failed = [Finding(severity, f"{checker}: {error}.")]
        except Exception as error:
            place = place_of(error, type(env.unwrapped).__module__.partition(".")[0])
            reason = single_line(error)
            text = reason if isinstance(error, AssertionError) and reason else one_line(error)
            where = f" ({place})" if place else ""
            failed = [Finding(severity, f"{checker}: {text}{where}")]
    advice = [Finding("advice", f"{checker}: {text}") for text in texts]
    return [*failed, *advice] or [Finding("ok", f"{checker} has no objections.")]


@contextmanager
def _recorded_warnings() -> Iterator[list[str]]:
    """Collect the warnings of a checker, each once and without colors; it prints nothing."""
    texts: list[str] = []
    with warnings.catch_warnings(record=True) as caught, redirect_stdout(StringIO()):
        warnings.simplefilter("always")
        yield texts
    for warning in caught:
        text = " ".join(COLORS.sub("", str(warning.message)).split()).removeprefix("WARN: ")
        if text not in texts and not any(part in text for part in LEFT_OUT):
            texts.append(text)
