"""The findings of a check, and the page on which they are printed."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from shutil import get_terminal_size
from textwrap import fill
from typing import Any, Literal

from rich.text import Text

from gridcade.printing import Part, Printed

Severity = Literal["problem", "advice", "ok"]
STYLES = {"problem": "bold red", "advice": "yellow", "ok": "green"}
MAX_WIDTH = 100  # columns
FACT_INDENT = 16  # columns
FINDING_INDENT = 9


@dataclass(frozen=True)
class Finding:
    """One thing that a check has found."""

    severity: Severity
    text: str
    todo: str = ""  # what the author of the environment can do


@dataclass(frozen=True, repr=False)
class EnvCheck(Printed):
    """The result of a check.

    Attributes:
        env: name of the environment.
        facts: properties of the environment, such as `time limit`, and their descriptions.
        agents: names of agents, and why they cannot learn there; empty text if they can.
        findings: what was found.
    """

    env: str
    facts: Mapping[str, str]
    agents: Mapping[str, str]
    findings: Sequence[Finding]

    @property
    def ok(self) -> bool:
        """Whether no problem was found; advice is not a problem."""
        return all(finding.severity != "problem" for finding in self.findings)

    def as_dict(self) -> dict[str, Any]:
        """Return the fields as JSON types."""
        return {**asdict(self), "findings": [asdict(f) for f in self.findings], "ok": self.ok}

    def parts(self) -> list[Part]:
        """Build the page: facts, agents, findings from the worst to the best, and a verdict."""
        width = min(get_terminal_size().columns, MAX_WIDTH)
        learners = [name for name, reason in self.agents.items() if not reason]
        facts = {**self.facts, "agents": ", ".join(learners) or "none can learn here"}
        lines = [Text(self.env, "bold")]
        lines += [_hanging(name, "dim", text, FACT_INDENT, width) for name, text in facts.items()]
        alike: dict[str, list[str]] = {}  # reasons, without agents' names, and the agents
        for name, reason in self.agents.items():
            if reason:
                alike.setdefault(reason.replace(f"train {name} ", "train AGENT "), []).append(name)
        for names in alike.values():
            text = f"not {', '.join(names)}: {self.agents[names[0]]}"
            lines.append(_hanging("", "", text, FACT_INDENT, width))
        lines.append(Text(""))
        for severity in ("problem", "advice", "ok"):
            for finding in self.findings:
                if finding.severity == severity:
                    text = f"{finding.text}\n{finding.todo}" if finding.todo else finding.text
                    style = STYLES[severity]
                    lines.append(_hanging(severity, style, text, FINDING_INDENT, width))
        return [*lines, Text(""), Text(self._verdict(), STYLES["ok" if self.ok else "problem"])]

    def _verdict(self) -> str:
        """Count the problems and the pieces of advice, in words."""
        counts = []
        for severity, singular, plural in (
            ("problem", "problem", "problems"),
            ("advice", "piece of advice", "pieces of advice"),
        ):
            if count := sum(finding.severity == severity for finding in self.findings):
                counts.append(f"{count} {plural if count > 1 else singular}")
        return " and ".join(counts) or "nothing to change"


def _hanging(label: str, style: str, text: str, indent: int, width: int) -> Text:
    """Put a label beside a text that is wrapped to the rest of the width."""
    gap = " " * indent
    paragraphs = [
        fill(line, width, initial_indent=gap, subsequent_indent=gap) for line in text.split("\n")
    ]
    first = f"{label:{indent}}" if len(label) < indent else f"{label} "
    return Text.assemble((first, style), "\n".join(paragraphs).removeprefix(gap), no_wrap=True)
