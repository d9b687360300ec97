"""Redirect links to files outside docs/, which work on a code host, to pages of the site.

A link to a file without a page, such as a workflow, becomes plain text. Sphinx still warns of any
other link without a target, which fails the build.
"""

import re
from collections.abc import Mapping

from docutils import nodes
from sphinx import addnodes
from sphinx.application import Sphinx
from sphinx.transforms.post_transforms import SphinxPostTransform

PAGES = (  # pattern of a link's target, and the page; None: replace the link by its text
    (re.compile(r"(?:^|/)CONTRIBUTING(?:\.md)?$"), "guides/own-agent"),
    (re.compile(r"(?:trained|\.\.)/([\w-]+)/README(?:\.md)?$"), r"generated/agents/trained-\1"),
    (re.compile(r"^\.github/workflows/ci\.yml$|^\.\./envs/\w+$"), None),
)


class OutsideLinks(SphinxPostTransform):
    """Replaces references before MyST resolves them."""

    default_priority = 1

    def run(self, **options: object) -> None:
        """Replace the links of one page. The method has no options."""
        del options
        for node in list(self.document.findall(addnodes.pending_xref)):
            for pattern, page in PAGES:
                found = pattern.search(node["reftarget"])
                if found is None:
                    continue
                if page is None:
                    node.replace_self(node.children)
                else:
                    builder = self.app.builder
                    target = builder.get_relative_uri(self.env.docname, found.expand(page))
                    node.replace_self(
                        nodes.reference("", "", *node.children, internal=True, refuri=target)
                    )
                break


def setup(app: Sphinx) -> Mapping[str, bool | str]:
    """Register the extension."""
    app.add_post_transform(OutsideLinks)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
