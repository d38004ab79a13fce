"""Fixtures of the tests of the command line."""

from pathlib import Path

import pytest
from command_line import leave_stale

from parity_tests.report import html


@pytest.fixture(autouse=True)
def bare_page(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make pages without plots, which take a while to draw."""
    monkeypatch.setattr(html, "page", lambda content: f"<p>{content['title']}</p>")


@pytest.fixture
def out(tmp_path: Path) -> Path:
    """A folder with an earlier report, which bad input must not change."""
    return leave_stale(tmp_path / "out")
