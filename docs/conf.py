"""Sphinx configuration: ``tox -e docs`` builds the site, and warnings are errors."""

from importlib import metadata

project = "nasbench_harness"
author = "the nasbench_harness authors"
release = metadata.version("nasbench-harness")

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx_click",
]
source_suffix = {".md": "markdown"}
exclude_patterns = ["_build"]
suppress_warnings = [
    "myst.xref_missing",  # links to files outside docs/ are for readers of the repository; a test checks them
    "misc.highlighting_failure",
]

myst_enable_extensions = ["colon_fence", "dollarmath"]
myst_heading_anchors = 3

autodoc_member_order = "bysource"
autodoc_typehints = "description"
autodoc_typehints_description_target = "documented"
napoleon_google_docstring = True
napoleon_numpy_docstring = False
napoleon_use_ivar = True

html_theme = "furo"
html_title = f"nasbench_harness {release}"
html_copy_source = False
html_show_sphinx = False
