"""Messages about options that a command does not have, and about values that cannot be read."""

import re
from collections.abc import Sequence
from itertools import takewhile

from gridcade.aliases import field_name, hint, synonyms
from gridcade.errors import InputError, unknown
from gridcade.formatting import shell_command

HELP_FLAGS = {"-h", "--help"}


def check_options(
    help_text: str, words: Sequence[str], prog: str, agent: str = "", note: str = ""
) -> None:
    """Raise InputError at the first option that a command's help does not mention.

    Args:
        help_text: the command's help.
        words: what the user typed after the command.
        prog: the command, such as `gridcade train`.
        agent: the agent whose hyperparameters are among the options; empty: none.
        note: the end of the error about an option that is like no other; may be empty.
    """
    flags = _flags(help_text)
    arguments = _arguments(help_text)
    for word in words:
        flag = word.partition("=")[0]
        known = flag.startswith("--") and field_name(flag) in flags
        if known or flag in HELP_FLAGS or not re.match("--?[a-zA-Z]", flag):
            continue
        right = _right_option(f"--{flag.lstrip('-')}", flags, arguments, prog, agent) or note
        leading = [shell_command(w) for w in takewhile(lambda w: not w.startswith("-"), words)]
        full_help = " ".join([prog, *(leading or [agent] if agent else []), "--help"])
        options = "all its options" if agent else "all options"
        parts = [f"unknown option {flag}", right, f"{options}: {full_help}"]
        raise InputError("; ".join(filter(None, parts)))


def wrong_value(complaint: str, help_text: str, prog: str) -> InputError | None:
    """Build a one-line error for a missing argument or a value that cannot be read.

    Args:
        complaint: the error that tyro printed, a box of several lines.
        help_text: the command's help.
        prog: the command.

    Returns:
        None: tyro complains about something else.
    """
    lines = [line.strip(" │") for line in complaint.splitlines()]
    lines = [line for line in lines if line[:1] not in ("╭", "╰")]
    text = " ".join(takewhile(lambda line: not line.startswith("─"), lines))
    match: re.Match[str] | None
    if match := re.fullmatch(r"Error parsing (\S+): (.*)", text):
        name, reason = match.groups()
        values = re.fullmatch(r"Could not find valid parse for arguments: \[(.*)\]", reason)
        return InputError(f"{name}: {f'cannot read {values[1]}' if values else reason}")
    if match := re.fullmatch(r"invalid choice '(.*)' for argument '(.*)'\. .*?\((.*)\)\.", text):
        value, name, choices = match.groups()
        known = re.findall(r"'(.*?)'", choices)
        error = unknown("choice" if name.startswith("-") else name, value, known)
        return InputError(f"{name}: {error}") if name.startswith("-") else error
    if match := re.match(r"Missing value for argument '(.*?)'", text):
        return InputError(f"{match[1]} needs a value; all options: {prog} --help")
    if text.startswith("Missing from"):
        missing = [line for line in lines if line.isalpha() and line.isupper()]
        usage = " ".join([prog, *(_arguments(help_text) or missing)])
        return InputError(f"missing {' and '.join(missing)}; write: {usage}; help: {prog} --help")
    return None


def unexpected(help_text: str, word: str, prog: str) -> InputError:
    """Build the error for an argument that the command does not take."""
    option = f"did you mean --env {word}?; " if "env" in _flags(help_text) else ""
    return InputError(f"unexpected argument '{word}'; {option}all options: {prog} --help")


def _arguments(help_text: str) -> list[str]:
    """Find the arguments that a help's usage shows after the options, such as POLICY."""
    usage = re.search(r"\[OPTIONS\] (.*)", help_text)
    return usage[1].split() if usage else []


def _flags(help_text: str) -> list[str]:
    """Find the options that a help mentions, as names of fields."""
    flags = re.findall(r"--[a-z0-9]+(?:[.-][a-z0-9]+)*", help_text)
    return [name for name in dict.fromkeys(map(field_name, flags)) if name != "help"]


def _right_option(
    flag: str, flags: Sequence[str], arguments: Sequence[str], prog: str, agent: str
) -> str:
    """Return what to write instead of an unknown option; empty if nothing is similar.

    Args:
        flag: the unknown option, with two hyphens.
        flags: the options that exist, as names of fields.
        arguments: the arguments that the usage shows after the options, such as POLICY.
        prog: the command.
        agent: the agent whose hyperparameters are among the options; empty: none.
    """
    name = field_name(flag)
    if name in flags:
        return f"did you mean {flag}?"
    switch = name.removeprefix("no_")
    if name != switch and switch in flags:
        return f"it is off unless --{switch.replace('_', '-')} is given"
    if f"no_{name}" in flags:
        return f"it is on unless --no-{name.replace('_', '-')} is given"
    places = [argument.lower() for argument in arguments]
    if name in places or synonyms(name, places):
        return f"write the value without it: {prog} {' '.join(arguments)}"
    right = hint(flag, flags, agent or prog)
    return "" if right.startswith("known:") else right
