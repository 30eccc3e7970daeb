"""The look: one palette, no style or picture that no page uses, no page that asks for what is not there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from sync_server.admin import access

ADMIN = Path(access.__file__).parent
STATIC = ADMIN / "static"
GATE_TOKENS = ADMIN.parents[1] / "gate_agent" / "screen" / "static" / "tokens.css"
PAGES = [*(ADMIN / "templates").rglob("*.html"), STATIC / "admin.js", *ADMIN.glob("*.py")]


@pytest.fixture(scope="module")
def text() -> str:
    """Everything that may name a class, a symbol or a file."""
    return "\n".join(page.read_text(encoding="utf-8") for page in PAGES)


def test_no_style_is_there_that_no_page_uses(text: str) -> None:
    used = set(re.findall(r"[\w-]+", text))
    for sheet in sorted(STATIC.glob("*.css")):
        rules = re.sub(r"/\*.*?\*/|\{[^{}]*\}|url\([^)]*\)", "", sheet.read_text(encoding="utf-8"), flags=re.DOTALL)
        unused = {name for name in re.findall(r"\.(-?[a-zA-Z][\w-]*)", rules) if name not in used}
        assert unused == set(), sheet.name


def test_every_sheet_is_linked_and_every_picture_is_there(text: str) -> None:
    for sheet in STATIC.glob("*.css"):
        assert f'"{sheet.stem}"' in text, sheet.name
    styles = "\n".join(sheet.read_text(encoding="utf-8") for sheet in STATIC.glob("*.css"))
    named = set(re.findall(r"img/[\w-]+\.svg", text + styles))
    assert named == {f"img/{picture.name}" for picture in (STATIC / "img").iterdir()}


def test_every_symbol_a_page_asks_for_is_in_the_sprite(text: str) -> None:
    sprite = set(re.findall(r'id="i-(\w+)"', (STATIC / "icons.svg").read_text(encoding="utf-8")))
    asked = set(re.findall(r'\bicon\("(\w+)"', text))
    assert len(asked) > 15
    assert asked <= sprite


def test_there_is_one_palette() -> None:
    """The gate's screen cannot import the centre's file, so both keep the same bytes."""
    assert (STATIC / "tokens.css").read_bytes() == GATE_TOKENS.read_bytes()
