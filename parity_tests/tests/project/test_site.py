"""The static site: every page is there, in the menu, and no link leads nowhere."""

import importlib.util
import re
import sys
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
from pages import ROOT

pytest.importorskip("markdown")
pytest.importorskip("pdoc")


@pytest.fixture(scope="module")
def build_site():
    spec = importlib.util.spec_from_file_location("build_site", ROOT / "docs/build_site.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules["build_site"] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def site(build_site, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    build_site.build(folder, api=False)
    return folder


def test_every_page_has_a_title_and_a_place_in_the_menu(build_site, site):
    pages = {path.relative_to(site).as_posix() for path in site.rglob("*.html")}
    assert pages == {place.removesuffix(".md") + ".html" for place in build_site.MENU}
    index = (site / "index.html").read_text()
    for place, title in build_site.MENU.items():
        assert f'href="{place.removesuffix(".md")}.html"' in index
        assert "<h1" in (site / place).with_suffix(".html").read_text(), title


def test_no_link_leads_nowhere(site):
    for page in site.rglob("*.html"):
        text = page.read_text()
        ids = {path: set(re.findall(r'id="([^"]+)"', path.read_text())) for path in site.rglob("*.html")}
        for link in re.findall(r'(?:href|src)="([^"]+)"', text):
            parts = urlsplit(link)
            if parts.scheme or link.startswith("#") or "api/index.html" in link:
                continue
            target = (page.parent / unquote(parts.path)).resolve()
            if not target.is_relative_to(site):  # a file of the repository, seen from out/site
                place = page.parent.relative_to(site)
                target = (ROOT / "out/site" / place / unquote(parts.path)).resolve()
                assert target.is_relative_to(ROOT), f"{page.name}: {link}"
            assert target.exists(), f"{page.name}: {link}"
            if parts.fragment:
                assert parts.fragment in ids[target], f"{page.name}: {link}"


def test_a_page_that_is_not_in_the_menu_is_noticed(build_site, tmp_path, monkeypatch):
    monkeypatch.setattr(
        build_site, "MENU", {name: title for name, title in build_site.MENU.items() if name != "fuzz.md"}
    )
    with pytest.raises(SystemExit, match=r"MENU and docs/ differ in fuzz\.md"):
        build_site.build(tmp_path / "site", api=False)
    assert not (tmp_path / "site").exists()


def test_the_reference_shows_what_a_docstring_says(build_site, tmp_path, monkeypatch):
    monkeypatch.setattr(build_site, "MODULES", ("pytorch_sketch_rnn.model.redrawing",))
    monkeypatch.setattr(build_site, "HIDDEN", ())
    build_site.build(tmp_path / "site")
    reference = (tmp_path / "site/api/pytorch_sketch_rnn/model/redrawing.html").read_text()
    assert "Finish a drawing, several times." in reference
