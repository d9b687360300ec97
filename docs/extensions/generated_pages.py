"""Write the pages that are generated from the code: one for each world and each agent.

Sphinx calls `write_pages` before it reads any page. A page is written only if it has changed, so
that the next build reads only changed pages.
"""

from collections.abc import Mapping
from pathlib import Path

from agent_pages import agent_pages
from sphinx.application import Sphinx
from world_pages import world_pages


def setup(app: Sphinx) -> Mapping[str, bool | str]:
    """Register the extension."""
    app.connect("builder-inited", write_pages)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}


def write_pages(app: Sphinx) -> None:
    """Write docs/generated, and remove pages of earlier builds that are no longer generated."""
    folder = Path(app.srcdir, "generated")
    pages = {f"worlds/{name}": text for name, text in world_pages().items()}
    pages |= {f"agents/{name}": text for name, text in agent_pages().items()}
    files = {folder / f"{name}.md": text for name, text in pages.items()}
    for file in folder.rglob("*.md"):
        if file not in files:
            file.unlink()
    for file, text in files.items():
        if not file.is_file() or file.read_text(encoding="utf-8") != text:
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text, encoding="utf-8")
