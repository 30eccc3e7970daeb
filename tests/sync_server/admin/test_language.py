"""Chinese first, English complete: no message without its English, no Chinese word outside the catalogue."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
from babel.messages.catalog import Catalog
from babel.messages.extract import extract_from_dir
from babel.messages.pofile import read_po

from sync_server.admin import language
from sync_server.admin.action_words import ACTION_WORDS
from sync_server.admin.reason_words import REASON_WORDS
from sync_server.admin.words import CHIPS, ORDER_EVENT_WORDS
from sync_server.gates.tables import DEVICE_STATES
from sync_server.issuance.pass_states import PASS
from sync_server.orders.states import MACHINES, WORDS
from sync_server.payments.states import TRANSFER
from sync_server.redemptions.tables import OUTCOMES
from sync_server.settlement.item_states import MONEY_WORDS, USAGE_WORDS
from sync_server.settlement.payout_states import PAYOUT
from tests.sync_server.admin.conftest import SignedInAs
from tests.sync_server.admin.forms import send
from wire.reasons import Reason

ADMIN = Path(language.__file__).parent
CENTRE = ADMIN.parent
CHINESE = re.compile(r"[\u3000-\u303f\u4e00-\u9fff\uff00-\uffef]")
PLACEHOLDER = re.compile(r"%\(\w+\)[sd]")
KEYWORDS = {"_": None, "gettext": None, "lazy_gettext": None, "ngettext": (1, 2)}


@pytest.fixture(scope="module")
def wanted() -> set[str]:
    """Every message of code and templates."""
    methods = [("**.py", "python"), ("**.html", "jinja2")]
    found = extract_from_dir(ADMIN, methods, keywords=KEYWORDS)
    return {message[0] if isinstance(message, tuple) else message for _, _, message, _, _ in found}


@pytest.fixture(scope="module")
def catalogue() -> Catalog:
    with language.ENGLISH.open("rb") as stream:
        return read_po(stream, locale="en")


def test_every_message_has_its_english_and_no_other_stands_there(wanted: set[str], catalogue: Catalog) -> None:
    there = {message.id[0] if isinstance(message.id, tuple) else message.id for message in catalogue if message.id}
    assert there == wanted
    assert len(wanted) > 400


def test_every_english_sentence_is_english_and_has_the_same_gaps(catalogue: Catalog) -> None:
    for message in catalogue:
        chinese = _texts(message.id)[0]
        for english in _texts(message.string) if chinese else ():
            assert english, chinese
            assert not message.fuzzy, chinese
            assert not CHINESE.search(english), english
            assert sorted(PLACEHOLDER.findall(english)) == sorted(PLACEHOLDER.findall(chinese)), chinese


def _texts(text: object) -> list[str]:
    """A message or the forms of one, as a list."""
    return [text] if isinstance(text, str) else [str(form) for form in text]  # type: ignore[attr-defined]  # a tuple


def test_no_chinese_stands_outside_the_catalogue() -> None:
    for template in (ADMIN / "templates").rglob("*.html"):
        text = re.sub(r"\{#.*?#\}|\{\{.*?\}\}|\{%.*?%\}", "", template.read_text(encoding="utf-8"), flags=re.DOTALL)
        left = [line.strip() for line in text.splitlines() if CHINESE.search(line)]
        left = [line for line in left if "中文" not in line and "语言 Language" not in line]
        assert left == [], template


def test_the_catalogue_needs_no_compiled_file_beside_it() -> None:
    assert list(ADMIN.rglob("*.mo")) == []
    assert language.english().gettext("年票订单管理") == "Annual-pass orders"


def test_the_words_of_states_are_those_of_the_model() -> None:
    for (kind, state), word in WORDS.items():
        assert str(CHIPS[kind][state].word) == word
    for family, words in (
        ("transfer", TRANSFER.words),
        ("usage", USAGE_WORDS),
        ("money", MONEY_WORDS),
        ("pass", PASS.words),
        ("payout", PAYOUT.words),
    ):
        assert {state: str(chip.word) for state, chip in CHIPS[family].items()} == words
    assert set(OUTCOMES) <= set(CHIPS["redemption"])
    assert set(DEVICE_STATES) - {"active"} <= set(CHIPS["gate"])
    assert {event for machine in MACHINES.values() for event in machine.events} <= set(ORDER_EVENT_WORDS)
    assert set(REASON_WORDS) == set(Reason)


def test_every_chip_has_its_icon() -> None:
    sprite = (ADMIN / "static" / "icons.svg").read_text(encoding="utf-8")
    for family in CHIPS.values():
        for chip in family.values():
            assert f'id="i-{chip.icon}"' in sprite, chip.icon


def test_everything_the_centre_logs_has_a_word() -> None:
    written = set()
    for source in CENTRE.rglob("*.py"):
        text = source.read_text(encoding="utf-8")
        for call in re.findall(r"\brecord\(\s*connection,(.*?)\)\n", text, flags=re.DOTALL):
            written |= set(re.findall(r'"((?:[a-z_]+\.)[a-z_]+|sign_in|sign_out|demo-data)"', call))
    assert len(written) > 15
    assert written - set(ACTION_WORDS) == set()


def test_a_person_chooses_the_language_and_keeps_it(signed_in_as: SignedInAs) -> None:
    browser = signed_in_as("zhoumin")
    assert "年票订单管理" in browser.get("/admin/orders").text
    response = send(browser, "/admin/orders", "/admin/language", language="en", back="/admin/orders?state=ISSUED")
    assert response.location == "/admin/orders?state=ISSUED"
    page = browser.get("/admin/orders").text
    assert '<html lang="en">' in page
    assert "Annual-pass orders" in page
    assert "年票订单管理" not in page
    assert "Bianjing annual pass" in page  # names of things come in both languages too
    send(browser, "/admin/orders", "/admin/language", language="xx", back="https://evil.example")
    assert '<html lang="en">' in browser.get("/admin/orders").text


def test_two_languages_at_once_do_not_mix(signed_in_as: SignedInAs) -> None:
    chinese, english = signed_in_as("zhoumin"), signed_in_as("zhoumin")
    send(english, "/admin/gates", "/admin/language", language="en", back="/admin/gates")
    for _ in range(2):
        assert "断网放行" in chinese.get("/admin/gates").text
        assert "断网放行" not in english.get("/admin/gates").text


@pytest.mark.slow
def test_importing_the_pages_asks_for_nothing_of_the_network_or_disk() -> None:
    code = "import sync_server.admin.web"
    subprocess.run([sys.executable, "-W", "error", "-c", code], check=True, cwd=CENTRE.parent)
