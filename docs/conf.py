"""How ``make docs`` makes a site of these pages: Sphinx with Markdown, and references read from the source."""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))  # the parser of the commands is loaded; operators and hooks are read, not imported

project = "airflow-sm-pipelines"
_SOURCE = (ROOT / "airflow_sm_pipelines" / "__init__.py").read_text()
version = release = re.search(r'^__version__ = "(.*)"', _SOURCE, re.MULTILINE)[1]  # type: ignore[index]
author = "The airflow-sm-pipelines authors"
extensions = ["myst_parser", "autoapi.extension", "sphinxarg.ext"]
exclude_patterns = ["_build"]

# Markdown
myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 4
suppress_warnings = ["autoapi.python_import_resolution", "myst.domains"]

# The reference of the public classes, from their docstrings and signatures
autoapi_dirs = [str(ROOT / "airflow_sm_pipelines")]
autoapi_ignore = [
    f"*/airflow_sm_pipelines/{room}/*"
    for room in (
        *("cli", "compiler", "cost", "definition", "deployment", "documents", "engine", "migrate", "planning"),
        *("policy", "rehearsal", "render", "runs", "server", "service_model", "client", "links"),
    )
]
autoapi_generate_api_docs = False
autoapi_add_toctree_entry = False
autoapi_options = ["show-inheritance"]
autoapi_python_class_content = "both"
autodoc_typehints = "description"

# The site
html_theme = "pydata_sphinx_theme"
html_title = f"airflow-sm-pipelines {release}"
html_static_path: list[str] = []
html_show_sourcelink = False
html_theme_options = {
    "navigation_depth": 2,
    "show_toc_level": 2,
    "navbar_align": "left",
    "header_links_before_dropdown": 6,
    "secondary_sidebar_items": ["page-toc"],
    "switcher": {
        # Whoever serves the site names the list of its versions; alone it lists itself.
        "json_url": os.environ.get("DOCS_VERSIONS_URL", "_static/versions.json"),
        "version_match": release,
    },
    "check_switcher": False,
    "navbar_end": ["version-switcher", "theme-switcher"] if "DOCS_VERSIONS_URL" in os.environ else ["theme-switcher"],
}


def setup(app):  # type: ignore[no-untyped-def]
    """Let links to the repository's own pages lead to their copies on the site."""

    def follow(app, name, source):  # type: ignore[no-untyped-def]
        source[0] = (
            source[0].replace("](../SECURITY.md", "](security.md").replace("](../CHANGELOG.md", "](changelog.md")
        )

    def follow_included(app, path, page, source):  # type: ignore[no-untyped-def]
        source[0] = source[0].replace("](SECURITY.md", "](docs/security.md")

    app.connect("source-read", follow)
    app.connect("include-read", follow_included)
