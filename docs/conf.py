"""Sphinx's settings; `make docs` runs it by `docs/website.py`, which lays the pages out first."""

from __future__ import annotations

import antiphon

project = "Antiphon"
author = "Antiphon developers"
version = release = antiphon.__version__

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "docstrings"]
highlight_language = "none"
smartquotes_action = "D"  # dashes only, for much of what is quoted is code

myst_heading_anchors = 4

# Docstrings have sections as `Args:` and `Raises:`; docstrings.py translates the rest.
napoleon_numpy_docstring = False
napoleon_use_ivar = True
autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_preserve_defaults = True
add_module_names = False
python_use_unqualified_type_names = True
maximum_signature_line_length = 88
toc_object_entries_show_parents = "hide"

html_theme = "furo"
html_title = f"Antiphon {version}"
html_copy_source = False
html_domain_indices = False
html_show_sourcelink = False
html_show_sphinx = False
html_show_copyright = False
html_static_path = ["static"]
html_css_files = ["antiphon.css"]
html_theme_options = {
    "light_css_variables": {"color-brand-primary": "#7a3b12", "color-brand-content": "#8a4415"},
    "dark_css_variables": {"color-brand-primary": "#e0a477", "color-brand-content": "#e8b48c"},
}
pygments_style = "tango"
pygments_dark_style = "github-dark"
