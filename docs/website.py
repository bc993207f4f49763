"""Build the site: `python -P docs/website.py build/docs`, which is what `make docs` does.

The pages are plain Markdown that reads well by itself, so what only a site needs is made here, in a folder of its own
beside the output: the navigation from the lists in index.md, the pages of the repository's root, the API reference from
the docstrings. Sphinx then builds that folder, and every warning is an error.
"""

from __future__ import annotations

import os
import re
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

DOCS = Path(__file__).resolve().parent
ROOT = DOCS.parent

# Pages from outside docs/, by their name on the site.
FROM_ROOT = {
    "examples.md": ROOT / "examples" / "README.md",
    "contributing.md": ROOT / "CONTRIBUTING.md",
    "changelog.md": ROOT / "CHANGELOG.md",
    "reporting.md": ROOT / "SECURITY.md",
    "benchmarks.md": ROOT / "benchmarks" / "README.md",
}
TITLES = {"reporting.md": "Reporting a weakness"}

# A relative link's place and anchor; code, in which `[0](x)` is no link, is matched before it and stays.
_LINK = re.compile(
    r"^```.*?^```|`[^`]*`|(?<=\]\()(?![a-z]+:|#)(?P<place>[^)\s#]+)(?P<anchor>#[^)\s]*)?(?=\))",
    re.MULTILINE | re.DOTALL,
)
_ENTRY = re.compile(r"^- \[(?P<title>[^\]]+)\]\((?P<page>[\w./-]+\.md)\)", re.MULTILINE)
_SECTION = re.compile(r"^## (?P<title>.+)\n(?P<body>(?:(?!^## ).*\n?)*)", re.MULTILINE)


def main(out: Path) -> int:
    """Build the site in a folder, whose former content is replaced; return Sphinx's exit status."""
    from sphinx.cmd.build import main as sphinx

    source = out.with_name(f"{out.name}-source")
    if out.is_dir() and any(out.iterdir()) and not (out / ".buildinfo").exists():
        raise SystemExit(f"{out} holds something else than a site, and would be deleted; name another folder")
    for folder in (source, out):
        shutil.rmtree(folder, ignore_errors=True)
    lay_out(source)
    status: int = sphinx(
        ["-W", "--keep-going", "-q", "-E", "-c", str(DOCS), "-d", str(source / "doctrees"), str(source), str(out)]
    )
    if not status:
        add_markdown(source, out)
    return status


def lay_out(source: Path) -> None:
    """Write all pages of the site into a folder."""
    from reference import pages  # beside this file

    source.mkdir(parents=True)
    for name in written():
        (source / name).parent.mkdir(exist_ok=True)
        (source / name).write_text(linked(name, source), "utf-8")
    made = pages()
    (source / "reference").mkdir()
    for name, text in made.items():
        (source / "reference" / name).write_text(text, "utf-8")
    index = source / "index.md"
    index.write_text(index.read_text("utf-8") + "\n".join(navigation([f"reference/{name}" for name in made])), "utf-8")


def written() -> dict[str, Path]:
    """Return the pages that are written by hand, by their names on the site, e.g. "stages/retry.md"."""
    return {page.relative_to(DOCS).as_posix(): page for page in sorted(DOCS.rglob("*.md"))} | FROM_ROOT


def linked(name: str, source: Path) -> str:
    """Return a page's text with its relative links as they are on the site."""
    page = written()[name]
    names = {path: name for name, path in written().items()} | {ROOT / "README.md": "index.md"}

    def at(found: re.Match[str]) -> str:
        if found["place"] is None:
            return found[0]
        path, anchor = (page.parent / found["place"]).resolve(), found["anchor"] or ""
        place = source / names[path] if path in names else path
        return Path(os.path.relpath(place, (source / name).parent)).as_posix() + anchor

    return _LINK.sub(at, page.read_text("utf-8"))


def navigation(reference: list[str]) -> Iterator[str]:
    """Yield the lines of the tables of contents: the sections of index.md, the API, and the pages of the root."""
    sections = {
        section["title"]: [f"{entry['title']} <{entry['page']}>" for entry in _ENTRY.finditer(section["body"])]
        for section in _SECTION.finditer((DOCS / "index.md").read_text("utf-8"))
    }
    project = sections.pop("Project") + [f"{TITLES[name]} <{name}>" if name in TITLES else name for name in FROM_ROOT]
    for title, entries in {**sections, "API": reference, "Project": project}.items():
        yield from ("", "```{toctree}", ":hidden:", f":caption: {title}", "", *entries, "```")
    yield ""


def add_markdown(source: Path, out: Path) -> None:
    """Put the pages as Markdown beside the HTML, where llms.txt leads to."""
    for name in written():
        shutil.copy(DOCS / name if name == "index.md" else source / name, out / name)
    shutil.copy(DOCS / "llms.txt", out)


if __name__ == "__main__":
    sys.path.insert(0, str(DOCS))  # -P leaves it out
    raise SystemExit(main(Path(sys.argv[1]).resolve()))
