"""The story the demo tells: tickets sold, visitors let in and refused, the network cut and back, the venue paid."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

from demo.centre import VENUE_ACCOUNT, Centre, Issued
from demo.gate import Gate
from demo.phone import Phone
from wire.messages import Entry, EntryKind

PATIENCE_S = 30.0
POLL_S = 0.1
CARD = {"area": "410200", "number": "A12345678", "identification": "410200D156000005"}
HOLDERS = (
    "李小花,11010519491231002X,13812341234",
    "王建国,410202198503071238,13912345678",
    "赵一,410203199001011236,13700000000",
)
FORGED_AT = 100
ADMITTED_OUTCOMES = ("CLAIMED", "PASS_VISIT")


class StoryFailed(Exception):
    """Something did not come out as it must; the message says what was expected and what is."""


@dataclass(slots=True)
class Story:
    """The acts in order. `tell` is called with one line for people whenever something happens."""

    centre: Centre
    gate: Gate
    tell: Callable[[str], None]
    admitted: int = 0
    admitted_cut_off: int = 0
    refused: Counter[str] = field(default_factory=Counter)
    singles: list[Issued] = field(default_factory=list)
    annual: list[Issued] = field(default_factory=list)
    later: list[Issued] = field(default_factory=list)
    phone: Phone = field(default_factory=lambda: Phone(b""))
    _phone_step: int = 0

    def sell(self) -> None:
        """A distributor takes six tickets, three visitors buy passes, one of them binds a card."""
        orders = [self.centre.order_tickets(self.centre.product("single_ticket"), 6)]
        orders += [self.centre.buy_pass(self.centre.product("annual_pass"), holder) for holder in HOLDERS[:2]]
        orders += [self.centre.buy_pass(self.centre.product("annual_pass_24h"), HOLDERS[2])]
        for order in orders:
            self._until(f"order {order} is issued", lambda order=order: self.centre.is_issued(order))  # type: ignore[misc]
        issued = [self.centre.codes(order) for order in orders]
        self.singles, self.annual, self.later = issued[0], [*issued[1], *issued[2]], issued[3]
        self.tell(
            f"出票 issued: {len(self.singles)} 单票 single tickets, {len(self.annual) + len(self.later)} 年票 passes"
        )
        self._until("the gate holds a list", lambda: self.gate.health()["list_version"] is not None)
        before = self._list_version()
        self.centre.bind_card(self.annual[1].number, CARD["area"], CARD["number"])
        self._until("the gate's list knows the card", lambda: self._list_version() > before)
        self.tell(f"名单 list: version {self._list_version()} at the gate, with the card that was bound")
        before, holder = self._list_version(), self.annual[0]
        self.phone = Phone(bytes.fromhex(holder.pass_id))
        self.phone.generation = self.centre.register_phone(holder.number, self.phone.public)
        self._until("the gate's list knows the phone", lambda: self._list_version() > before)
        self.tell(f"动态码 {holder.number[-6:]} draws a new code every 15 s on its own phone from now on")

    def open_doors(self) -> None:
        """With the network: by camera, scanner and card; and those who must not come in."""
        self._admit("camera", 1, self.singles[0])
        copied = self._admit_by_phone(2)
        self._admit("card", 1, self.annual[1])
        self._admit_by_electronic_card(2, self.annual[1], HOLDERS[1])
        self._refuse("a copy of the phone's code", 1, copied, "code_reused")
        self._refuse("a screenshot of that pass", 2, self.annual[0].code, "needs_rotating_code")
        self._refuse("a ticket that was used", 2, self.singles[0].code, "used_up")
        self._refuse("a payment code", 2, "https://pay.example/q/1", "not_ours")
        self._refuse("a code somebody changed", 1, _altered(self.singles[1].code), "forged")
        self._refuse("a pass of tomorrow", 2, self.later[0].code, "not_yet_active")
        self._balk_and_come_back(1, self.singles[1])

    def cut_and_go_on(self) -> None:
        """Without the network: the same."""
        self._until("everything is uploaded", lambda: self.gate.health()["waiting"] == 0)
        self.gate.cable.cut()
        self._until("the gate knows it is cut off", lambda: not self.gate.health()["online"])
        self.tell("断网 the cable is out: the gate is cut off and goes on")
        before = self.admitted
        self._admit("camera", 1, self.singles[2])
        self._admit("scanner", 2, self.singles[3])
        self._admit_by_phone(2)
        self._admit("card", 1, self.annual[1])
        self._refuse("an electronic card, which only the centre can read", 2, self._draw(HOLDERS[1]), "needs_network")
        self._refuse("a ticket used at the other lane", 2, self.singles[2].code, "used_up")
        self.admitted_cut_off = self.admitted - before

    def reconnect(self) -> None:
        """The cable goes back; nobody does anything else."""
        waiting = self.gate.health()["waiting"]
        self.gate.cable.plug()
        self._until("everything is uploaded", lambda: self._is_online() and self.gate.health()["waiting"] == 0)
        self.tell(f"联网 the cable is back: {waiting} entries went up by themselves")

    def settle(self) -> dict[str, Any]:
        """Every used single ticket is paid to its venue; the figures of quality.md, compared with both books."""
        sold_out = 4
        self._until("the venue is paid", lambda: self._paid_lines() == sold_out)
        paid_fen = sum(line["net_fen"] for line in self.centre.statement() if line["state"] == "PAID")
        provider_fen = self.centre.provider_accounts().get(VENUE_ACCOUNT, 0)
        entries = self.gate.entries()
        redemptions = [row for row in self.centre.redemptions() if row["outcome"] in ADMITTED_OUTCOMES]
        balance_fen = sum(row["amount_fen"] for row in self.centre.ledger() if row["layer"] == "posted")
        yuan = f"¥{paid_fen // 100}.{paid_fen % 100:02d}"
        self.tell(f"打款 paid to the venue: {yuan}; the provider's own book says the same")
        self.tell(f"对账 books: {self.centre.check()}")
        ended_admissions = _admissions(entries)
        self._expect("entries admitted at the gate", self.admitted, len(ended_admissions))
        self._expect("entries the centre counted", self.admitted, len(redemptions))
        self._expect(
            "passes the centre counted", sorted(ended_admissions), sorted(row["pass_id"] for row in redemptions)
        )
        self._expect("refusals in the journal", dict(self.refused), dict(_refusals(entries)))
        self._expect("entries stored at the centre", len(entries), self.centre.gate()["entries"])
        self._expect("fen in the provider's book", paid_fen, provider_fen)
        self._expect("the sum of all postings", 0, balance_fen)
        return {
            "issued": len(self.singles) + len(self.annual) + len(self.later),
            "admitted": self.admitted,
            "refused": dict(self.refused),
            "admitted_cut_off": self.admitted_cut_off,
            "uploaded": len(entries),
            "duplicates_counted": len(redemptions) - len(ended_admissions),
            "ledger_balance_fen": balance_fen,
            "paid_to_venue_fen": paid_fen,
        }

    def unused(self) -> list[Issued]:
        """Single tickets of the story that nobody showed yet."""
        return self.singles[4:]

    def welcome(self, lane: int) -> None:
        """One more visitor, with a ticket sold this moment: cut off, the gate goes by its signature alone."""
        order = self.centre.order_tickets(self.centre.product("single_ticket"), 1)
        self._until(f"order {order} is issued", lambda: self.centre.is_issued(order))
        for issued in self.centre.codes(order):
            self._admit("camera" if lane == 1 else "scanner", lane, issued)

    def _admit(self, reader: str, lane: int, issued: Issued) -> None:
        before = self._intents()
        if reader == "card":
            self.gate.tap(lane, CARD)
        else:
            self.gate.show(lane, issued.code, reader)
        self._until(f"lane {lane} opens for {issued.number}", lambda: self._intents() == before + 1)
        self._until(f"somebody passed lane {lane}", lambda: self._open_intents() == 0)
        self.admitted += 1
        self.tell(f"  ✓ {lane}号通道 lane {lane}: {reader}, {issued.number[-6:]} – 请入园, and walked through")

    def _admit_by_phone(self, lane: int) -> str:
        """The first annual pass, by the code its phone draws now; that code."""
        holder, last = self.annual[0], self._phone_step
        self._until("the phone draws its next code", lambda: self.phone.step > last)
        self._phone_step, code = self.phone.step, self.phone.code()
        self._admit("scanner", lane, replace(holder, code=code))
        return code

    def _admit_by_electronic_card(self, lane: int, issued: Issued, holder: str) -> None:
        """The centre asks the card platform whose code it is, the gate its list what that person may do."""
        self._admit("scanner", lane, replace(issued, code=self._draw(holder)))

    def _draw(self, holder: str) -> str:
        """A fresh code of the electronic card of NAME,ID,PHONE."""
        return self.centre.cards.draw(holder.split(",")[1])

    def _balk_and_come_back(self, lane: int, issued: Issued) -> None:
        """Nobody walks through: the right is free again, and the visitor comes back."""
        self.gate.walk(lane, "balk")
        self.gate.show(lane, issued.code)
        self._until(f"lane {lane} opens", lambda: self._open_intents() == 1)
        self._until("nobody passed in time", lambda: self._open_intents() == 0)
        self._expect("how the entry of a visitor who turned back ended", EntryKind.ANNULLED, self._last_ending())
        self.tell(f"  ○ {lane}号通道 lane {lane}: {issued.number[-6:]} turned back; nothing is deducted")
        self._admit("camera", lane, issued)

    def _refuse(self, who: str, lane: int, code: str, reason: str) -> None:
        before = _refusals(self.gate.entries())[reason]
        self.gate.show(lane, code, "scanner")
        self._until(f"lane {lane} refuses {reason}", lambda: _refusals(self.gate.entries())[reason] == before + 1)
        self.refused[reason] += 1
        self.tell(f"  ✗ {lane}号通道 lane {lane}: {who} – {reason}")

    def _intents(self) -> int:
        return sum(entry.kind is EntryKind.INTENT for entry in self.gate.entries())

    def _open_intents(self) -> int:
        entries = self.gate.entries()
        ended = {entry.ref_seq for entry in entries}
        return sum(entry.kind is EntryKind.INTENT and entry.seq not in ended for entry in entries)

    def _last_ending(self) -> EntryKind:
        return max((entry for entry in self.gate.entries() if entry.ref_seq is not None), key=lambda one: one.seq).kind

    def _paid_lines(self) -> int:
        return sum(line["state"] == "PAID" for line in self.centre.statement())

    def _list_version(self) -> int:
        return int(self.gate.health()["list_version"] or 0)

    def _is_online(self) -> bool:
        return bool(self.gate.health()["online"])

    def _until(self, what: str, condition: Callable[[], bool]) -> None:
        deadline = time.monotonic() + PATIENCE_S
        while not condition():
            if time.monotonic() > deadline:
                raise StoryFailed(f"after {PATIENCE_S:.0f} s still not so: {what}")
            time.sleep(POLL_S)

    def _expect(self, what: str, expected: object, found: object) -> None:
        if expected != found:
            raise StoryFailed(f"{what}: expected {expected}, found {found}")


def _altered(code: str) -> str:
    """The code with one character exchanged, which a camera still reads."""
    other = "0" if code[FORGED_AT] != "0" else "1"
    return code[:FORGED_AT] + other + code[FORGED_AT + 1 :]


def _refusals(entries: list[Entry]) -> Counter[str]:
    return Counter(str(entry.reason) for entry in entries if entry.kind is EntryKind.REFUSED)


def _admissions(entries: list[Entry]) -> list[str]:
    """The passes of all intents that nobody annulled."""
    annulled = {entry.ref_seq for entry in entries if entry.kind is EntryKind.ANNULLED}
    return [
        (entry.pass_id or b"").hex()
        for entry in entries
        if entry.kind is EntryKind.INTENT and entry.seq not in annulled
    ]
