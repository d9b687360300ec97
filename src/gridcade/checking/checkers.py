"""Runs the checkers of Gymnasium and stable-baselines3; their errors and warnings are findings."""

import re
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stdout
from importlib.util import find_spec
from io import StringIO

from gymnasium.utils.env_checker import check_env

from gridcade.checking.findings import Finding, Severity
from gridcade.envs.faults import place_of
from gridcade.envs.types import Env
from gridcade.errors import InputError, one_line, single_line

COLORS = re.compile(r"\x1b\[\d+m")
GYMNASIUM = "Gymnasium's checker"
SB3 = "stable-baselines3's checker"
# Left out are warnings about the way the checker was called, and warnings that repeat a finding.
LEFT_OUT = ("different from the unwrapped version", "`check_env(warn", "Deterministic step")


def gymnasium_findings(env: Env) -> list[Finding]:
    """Run Gymnasium's checker on an environment, which is reset and stepped."""

    def check() -> None:
        check_env(env.unwrapped, skip_render_check=True, skip_close_check=True)

    return _findings(GYMNASIUM, check, "problem", env)


def sb3_findings(env: Env) -> list[Finding]:
    """Run stable-baselines3's checker, if it is installed.

    Its errors are only advice, because other agents may accept the environment.
    """
    if find_spec("stable_baselines3") is None:
        return []
    from stable_baselines3.common import env_checker

    return _findings(SB3, lambda: env_checker.check_env(env, warn=True), "advice", env)


def _findings(
    checker: str, check: Callable[[], None], severity: Severity, env: Env
) -> list[Finding]:
    """Run a checker: its error becomes a finding of the given severity, its warnings advice."""
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
