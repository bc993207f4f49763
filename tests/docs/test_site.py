"""The site builds without a warning, all of its links lead somewhere, and every public name has a place in it."""

from __future__ import annotations

import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from types import ModuleType
from urllib.parse import unquote, urldefrag

import pytest

import antiphon

ROOT = Path(__file__).parents[2]

pytestmark = pytest.mark.slow


class Page(HTMLParser):
    """What a page leads to, and the places in it that can be led to."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.links: set[str] = set()
        self.places: set[str] = set()
        self.feed(path.read_text("utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        for name, value in attrs:
            if value and name == "id":
                self.places.add(value)
            elif value and name in ("href", "src"):
                self.links.add(value)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("site") / "docs"
    done = subprocess.run(
        [sys.executable, "-P", ROOT / "docs" / "website.py", out], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    return out


def test_every_link_of_the_site_leads_to_a_page_and_a_place_in_it(site: Path) -> None:
    pages = {path: Page(path) for path in site.rglob("*.html")}

    broken = [
        f"{path.relative_to(site)}: {link}"
        for path, page in pages.items()
        for link in page.links
        if not re.match(r"[a-z]+:|//", link) and not leads_somewhere(path, link, pages)
    ]

    assert len(pages) > 75
    assert broken == []


def leads_somewhere(path: Path, link: str, pages: dict[Path, Page]) -> bool:
    name, place = urldefrag(link)
    target = (path.parent / unquote(name.partition("?")[0])).resolve() if name else path
    if not target.is_file():
        return False
    return not place or target not in pages or unquote(place) in pages[target].places


def test_every_public_name_has_a_place_in_the_reference(site: Path) -> None:
    places = {place for path in (site / "reference").glob("*.html") for place in Page(path).places}
    wanted = [
        f"{module.__name__}.{name}"
        for module in (antiphon, antiphon.mcp, antiphon.providers, antiphon.testing)
        for name in module.__all__
        if not isinstance(getattr(module, name), ModuleType) and not name.startswith("_")
    ]

    assert [name for name in wanted if name not in places and f"antiphon.{name.rpartition('.')[2]}" not in places] == []


def test_llms_txt_stands_at_the_root_and_leads_to_markdown(site: Path) -> None:
    text = (site / "llms.txt").read_text("utf-8")

    links = re.findall(r"\]\(([^)]+)\)", text)
    assert len(links) > 20
    assert [link for link in links if not (site / link).is_file()] == []
