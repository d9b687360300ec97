"""Make a page for each agent, with its hyperparameters (from its dataclass) and its presets."""

import inspect
from dataclasses import fields
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

from gridcade import agents
from gridcade.agents import SB3, AgentKind
from gridcade.agents.base import AgentConfig
from gridcade.agents.schedules import Schedule
from gridcade.field_docs import field_docs
from gridcade.formatting import format_value
from gridcade.training.config import read_toml


def agent_pages() -> dict[str, str]:
    """Return the pages in Markdown, by name; the page `index` lists the others."""
    kinds = agents.AGENTS.values()
    pages = {kind.name: _page(kind) for kind in kinds}
    rows = [f"| [{kind.name}]({kind.name}.md) | {kind.about} |" for kind in kinds]
    cards = {f"trained-{name}": _card(folder) for name, folder in agents.trained().items()}
    shipped = [
        f"| [{name.removeprefix('trained-')}]({name}.md) | {_settings(name)} |" for name in cards
    ]
    pages |= cards
    names = "\n".join(pages)
    pages["index"] = (
        "# Agents\n\n| agent | about |\n| --- | --- |\n"
        + "\n".join(rows)
        + "\n\nTrained agents that ship with Gridcade, with their model cards:\n\n"
        "| trained agent | algorithm and environment |\n| --- | --- |\n"
        + "\n".join(shipped)
        + f"\n\n```{{toctree}}\n:hidden:\n\n{names}\n```\n"
    )
    return pages


def _settings(page: str) -> str:
    config = read_toml(agents.trained()[page.removeprefix("trained-")] / "config.toml")
    return f"{config['agent']} on {config['env']}"


def _card(folder: Path) -> str:
    """Return the model card of a trained agent, with its links changed to those of the site."""
    text = (folder / "README.md").read_text(encoding="utf-8")
    return text.replace("](../../../docs/", "](../../")


def _page(kind: AgentKind) -> str:
    parts = [f"# {kind.name}", f"{kind.about[0].upper()}{kind.about[1:]}."]
    if not kind.name.startswith(SB3):
        parts.append(_module_text(kind))
    parts += [
        "## Hyperparameters",
        f"`gridcade train {kind.name} ENV --help` prints them too. A number in place of a "
        "schedule means a constant.",
        _hyperparameters(kind.config),
        "## Presets",
        f"`--preset NAME` selects one. The default is `{kind.default_preset}`"
        + ("; it depends on the environment." if kind.presets_differ else "."),
        *(_preset(name, file) for name, file in kind.presets().items()),
    ]
    return "\n\n".join(parts) + "\n"


def _module_text(kind: AgentKind) -> str:
    """Return the docstring of the agent's module.

    If it has one line only, return the docstrings of the functions with an update equation.
    """
    module = import_module(f"gridcade.agents.{kind.module}")
    text = inspect.cleandoc(module.__doc__ or "")
    if "\n" not in text:
        own = (value for value in vars(module).values() if _is_function_of(module, value))
        docs = (inspect.cleandoc(function.__doc__ or "") for function in own)
        text = "\n\n".join(doc for doc in docs if "+=" in doc)
    return f"```text\n{text}\n```"


def _is_function_of(module: ModuleType, value: object) -> bool:
    """Return whether a module defines this function, compiled or not."""
    return callable(value) and getattr(value, "__module__", "") == module.__name__


def _hyperparameters(config: type[AgentConfig]) -> str:
    """Return a table of the fields: name, default, and docstring."""
    docs: dict[str, str] = {}
    for parent in reversed(config.__mro__):
        if parent is not object and "__dataclass_fields__" in vars(parent):
            try:
                docs |= field_docs(parent)
            except (OSError, TypeError):  # a class made at run time has no source
                continue
    defaults = config()
    rows = [
        f"| `{field.name}` | `{default_text(getattr(defaults, field.name))}` "
        f"| {docs.get(field.name, '').replace('|', '∣')} |"
        for field in fields(config)
    ]
    return "| name | default | meaning |\n| --- | --- | --- |\n" + "\n".join(rows)


def default_text(value: Any) -> str:
    """Format a default as in a config file or on the command line."""
    if isinstance(value, Schedule):
        if value.final in (None, value.initial) and not value.power:
            return format_value(value.initial)
        changed = {f.name: getattr(value, f.name) for f in fields(value)}
        defaults = {f.name: f.default for f in fields(value)}
        return ", ".join(
            f"{name} = {format_value(v)}" for name, v in changed.items() if v != defaults[name]
        )
    return format_value(value) if isinstance(value, float | int | str) else str(value)


def _preset(name: str, file: Path) -> str:
    """Return the section on a preset: the comment at the top of its file, and its other lines."""
    lines = file.read_text(encoding="utf-8").splitlines()
    count = next((n for n, line in enumerate(lines) if not line.startswith("#")), len(lines))
    about = " ".join(line.lstrip("# ") for line in lines[:count])
    body = "\n".join(lines[count:]).strip()
    return f"### {name}\n\n{about}\n\n```toml\n{body}\n```"
