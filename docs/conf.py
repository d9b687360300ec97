"""Sphinx's settings for the documentation site; `make docs` builds it."""

import sys
from pathlib import Path

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE / "extensions"))

project = "Gridcade"
author = "the Gridcade authors"
copyright = author  # noqa: A001 - the name that Sphinx reads
extensions = [
    "myst_nb",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "generated_pages",
    "outside_links",
]
exclude_patterns = ["_build", "extensions"]

html_theme = "furo"
html_title = "Gridcade"
html_static_path = ["static"]
html_css_files = ["site.css"]
html_show_sphinx = False
smartquotes = False  # they would turn the two dashes of an option into one
html_copy_source = False
pygments_style, pygments_dark_style = "friendly", "native"

# Read Markdown as code hosts do: headings have anchors, and GitHub's tables and fences work.
myst_enable_extensions = ["colon_fence"]
myst_heading_anchors = 4

# Notebooks run in a temporary folder, and a failing cell fails the build. The cache makes the next
# build fast; a notebook runs again after each change to it.
nb_execution_mode = "cache"
nb_execution_cache_path = str(HERE / "_build" / "notebooks")
nb_execution_in_temp = True
nb_execution_timeout = 600  # seconds per cell, long enough for a busy machine
nb_execution_raise_on_error = True
nb_execution_show_tb = True

# Docstrings are in Google's style, with names between single backquotes.
default_role = "code"
napoleon_google_docstring, napoleon_numpy_docstring = True, False
napoleon_preprocess_types = False
autodoc_typehints = "description"
autodoc_typehints_description_target = "documented"
autodoc_member_order = "bysource"
autodoc_class_signature = "separated"
python_display_short_literal_types = True
