"""Sphinx configuration of the documentation: `make docs` builds it into docs/_build/html."""

import pathlib
import re

from sphinx.ext.napoleon import docstring

_ROOT = pathlib.Path(__file__).parents[1]

project = "ocgm"
author = "The ocgm authors"
copyright = "The ocgm authors, Apache-2.0"
release = re.search(r'__version__ = "(.+)"', (_ROOT / "ocgm/__init__.py").read_text()).group(1)
version = release

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx.ext.viewcode",
    "sphinx_copybutton",
    "sphinx_design",
]
exclude_patterns = ["_build"]

# Docstrings are in Google style.
napoleon_numpy_docstring = False
napoleon_use_ivar = True
autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_typehints_format = "short"
autodoc_class_signature = "separated"
autodoc_default_options = {"members": True}
autodoc_preserve_defaults = True

myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 3

html_theme = "furo"
html_title = f"ocgm {release}"
html_static_path = ["_static"]
html_css_files = ["ocgm.css"]
html_show_sphinx = False

# Only the command is copied, not the prompt.
copybutton_prompt_text = "$ "


def _as_rst(app, what, name, obj, options, lines: list[str]) -> None:
    """Turn the single backquotes of docstrings into literals, and escape lone stars such as in [N, *shape]."""
    for i, line in enumerate(lines):
        line = re.sub(r"(?<!`)`([^`]+)`(?!`)", r"``\1``\\ ", line).replace("``\\  ", "`` ")
        lines[i] = re.sub(r"(?<![\w*`])\*(\w+)(?![\w ]*\*)", r"\\*\1", line)


def _returns(self, preprocess_types: bool = False) -> list[tuple[str, str, list[str]]]:
    """Read a Returns section as text: types are in the annotations, a colon in it is no separator."""
    lines = self._dedent(self._consume_to_next_section())
    return [("", "", lines)] if lines else []


docstring.GoogleDocstring._consume_returns_section = _returns


def setup(app) -> None:
    """Connect `_as_rst` before napoleon, which has priority 500."""
    app.connect("autodoc-process-docstring", _as_rst, priority=400)
