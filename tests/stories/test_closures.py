"""A closure and a rule set at the admin's pages reach a real gate, which refuses with the right words, and ends."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import pytest
import requests

from demo.centre import VENUE, Centre, Issued, running_centre
from demo.gate import Gate, running_gate
from gate_agent.pass_list import PassListHolder
from gate_agent.trusted_time import boot_clock_ms
from gate_agent.world import LOOK_AGAIN_MS
from tests.sync_server.admin.forms import CSRF_TOKEN
from tests.waiting import until
from wire.feed import VenueDocument
from wire.messages import Entry, EntryKind
from wire.reasons import Reason

pytestmark = pytest.mark.story

PATIENCE_S = 30.0
CALENDAR, PRODUCTS = f"/admin/calendars/{VENUE}", "/admin/products"


class Desk:
    """An operator's browser, signed in as a person would be."""

    def __init__(self, centre: Centre, folder: Path) -> None:
        self._url, self._session = centre.url, requests.Session()
        self._session.get(f"{self._url}/admin/captcha.png", timeout=PATIENCE_S).raise_for_status()
        with closing(sqlite3.connect(folder / "centre.db")) as database:
            (answer,) = database.execute("SELECT answer FROM captcha ORDER BY rowid DESC").fetchone()
        who = next(one for one in centre.seeded["operators"] if one["account"] == "operations")
        form = {"organisation": who["organisation"], "account": who["account"], "password": who["password"]}
        welcome = self.send("/admin/sign-in", captcha=answer, **form)
        assert "退出" in welcome

    def get(self, page: str) -> str:
        return self._session.get(self._url + page, timeout=PATIENCE_S).text

    def send(self, page: str, to: str | None = None, **fields: str) -> str:
        """Fill in the form of a page; what is shown then."""
        token = re.search(CSRF_TOKEN, self.get(page))
        assert token is not None, f"{page} has no form"
        answer = self._session.post(
            self._url + (to or page), data={"csrf_token": token[1], **fields}, timeout=PATIENCE_S
        )
        assert answer.status_code == 200, answer.text
        return answer.text


@dataclass
class Place:
    """A centre, somebody at its desk, one gate, and tickets that nobody has used."""

    desk: Desk
    gate: Gate
    held: PassListHolder
    tickets: list[Issued]
    product: int

    def shown(self, ticket: Issued) -> Entry:
        """What the journal says of a code held up."""
        before = len(self.gate.entries())
        self.gate.show(1, ticket.code, "scanner")

        def judged() -> list[Entry]:
            return [one for one in self.gate.entries()[before:] if one.kind in (EntryKind.INTENT, EntryKind.REFUSED)]

        return until(judged, PATIENCE_S, "the gate decides")[0]

    def learns(self, what: Callable[[VenueDocument], bool]) -> None:
        """Until the list on the gate's disk says so, and its lanes have looked at the disk again."""

        def learnt() -> bool:
            held = self.held.current()
            return held is not None and what(held.document)

        until(learnt, PATIENCE_S, "the gate's list says so")
        looked_ms = boot_clock_ms() + LOOK_AGAIN_MS
        until(lambda: boot_clock_ms() > looked_ms, PATIENCE_S, "the lanes look again")

    def visitor_reads(self, *words: str) -> None:
        until(lambda: all(one in self._page("/lane/1") for one in words), PATIENCE_S, f"the visitor reads {words}")

    def staff_read(self, words: str) -> None:
        until(lambda: words in self._page("/staff"), PATIENCE_S, f"staff read {words}")

    def _page(self, address: str) -> str:
        return requests.get(self.gate.screen + address, timeout=PATIENCE_S).text


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    with running_centre(tmp_path) as centre, running_gate(tmp_path, centre, VENUE) as gate:
        order = centre.order_tickets(centre.product("single_ticket"), 3)
        until(lambda: centre.is_issued(order), PATIENCE_S, "the tickets are issued")
        product = centre.product("single_ticket")
        yield Place(Desk(centre, tmp_path), gate, PassListHolder(tmp_path / "gate"), centre.codes(order), product)


def test_what_is_set_at_the_desk_holds_at_the_gate(place: Place) -> None:
    turned_away, let_in, too_early = place.tickets
    place.desk.send(f"{CALENDAR}/close", cause="大风蓝色预警", since="", until="", sure="yes")
    place.learns(lambda venue: len(venue.calendar.closures) == 1)
    assert place.shown(turned_away).reason == Reason.VENUE_CLOSED
    place.visitor_reads("景区现在未开放", "The venue is closed now")
    place.staff_read("临时闭园（大风蓝色预警）")
    reopen = re.search(r'action="([^"]+/reopen/[0-9a-f]+)"', place.desk.get(CALENDAR))
    assert reopen is not None
    place.desk.send(CALENDAR, reopen[1])
    place.learns(lambda venue: not venue.calendar.closures)
    assert place.shown(let_in).kind is EntryKind.INTENT

    rule = {"per_day": "", "gap_min": "0", "party": "1", "total": "1", "blackout": "每天", "version": "0"}
    place.desk.send(f"{PRODUCTS}/{place.product}/rule", **rule)
    place.learns(lambda venue: any(one.rule.blackout for one in venue.products))
    assert place.shown(too_early).reason == Reason.BLACKOUT
    place.visitor_reads("此票今日不可用")
