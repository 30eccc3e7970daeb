"""The sheets of the staff's face from the table of acts, and the answers to them as sentences."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from gate_agent.acting import Listed
from gate_agent.acts import (
    MAX_CODE_CHARACTERS,
    MAX_URL_CHARACTERS,
    TERMS,
    Act,
    Ask,
    Came,
    Result,
    Tried,
    TriedCode,
    Unfit,
)
from gate_agent.board import Scan
from gate_agent.faces import Face, FaceFacts
from gate_agent.lane_state import HOLD_MINUTES, PARTY_LIMIT
from gate_agent.list_find import MAX_TYPED_CHARACTERS, NotSought
from gate_agent.screen import act_words, times
from gate_agent.screen.act_words import Pair
from gate_agent.screen.scans import short
from gate_agent.screen.sheet import Choice, Sheet, Text, Typed
from gate_agent.screen.speech import Speech
from gate_agent.staff import Role
from gate_agent.status import LaneStatus, Side
from hardware.card_reader import CardAuth, CardFault
from wire import moments
from wire.reasons import Reason

ICONS = {
    Act.LET_IN: "open",
    Act.GROUP: "group",
    Act.RETURN: "return",
    Act.COUNTER: "find",
    Act.CHECK: "check",
    Act.TEST_CARD: "card",
    Act.COMMISSION: "qr",
    Act.CLOSE: "close",
    Act.OPEN: "open",
    Act.HOLD: "hold",
    Act.SYNC: "link",
    Act.EXPORT: "disk",
    Act.ENROL: "lock",
    Act.ENROL_SCAN: "lock",
    Act.PAIR: "link",
}
STATUS = {
    Came.DONE: 200,
    Came.WRONG_PIN: 403,
    Came.NOT_ALLOWED: 403,
    Came.PINS_PAUSED: 429,
    Came.BUSY: 503,
    Came.LANE_SILENT: 503,
    Came.SYNC_SILENT: 503,
}
"""How an answer's kind is told to the page; every other is 409: not possible now."""
NOT_NOW = 409


@dataclass(frozen=True, slots=True)
class Opened:
    """What a sheet is opened with. `lane` is where the act is for; `subject` is what it is about, as a line."""

    once: str
    wait_ms: int
    lane: LaneStatus | None = None
    subject: str = ""
    fixed: tuple[tuple[str, str], ...] = ()
    let_in_per_day: int = 0
    centre_url: str = ""
    has_staff: bool = True


@dataclass(frozen=True, slots=True)
class FoundPass:
    """One pass that was found, in a line or two."""

    pass_id: str
    headline: str
    meta: str


def sheet(act: Act, opened: Opened, action: str, speech: Speech) -> Sheet:
    """One act's sheet. `action` is where its form goes."""
    terms, wait_s = TERMS[act], -(-opened.wait_ms // 1000)
    asked = {Ask.COUNT: Typed("count", _say(speech, "people"), len(str(PARTY_LIMIT)))}
    notes = [_say(speech, "noted")]
    if act in (Act.LET_IN, Act.GROUP):
        notes.insert(0, _say(speech, "limit", n=opened.let_in_per_day))
    if terms.role is Role.SUPERVISOR:
        notes.insert(0, _say(speech, "supervisor"))
    return Sheet(
        action=action,
        icon=ICONS[act],
        title=speech.label(f"act_{act}"),
        effect=" · ".join(filter(None, (opened.subject, speech.pick(act_words.EFFECTS[act])))),
        do=speech.pick(act_words.DO[act]),
        told=_say(speech, "pin") if opened.has_staff else speech.pick(act_words.CAME[Came.NO_STAFF]),
        lane=None if opened.lane is None else opened.lane.lane,
        target="" if opened.lane is None else _target(opened.lane, speech),
        fixed=(("once", opened.once), ("lang", speech.lang), *_lane(opened.lane), *opened.fixed),
        choices=(*_minutes(terms.asks, speech), *_reasons(terms.reasons, speech)),
        typed=asked.get(terms.asks),
        texts=_texts(terms.asks, opened.centre_url, speech),
        note="".join(notes),
        wait_s=wait_s,
    )


def find_sheet(action: str, lane: LaneStatus, number: str, speech: Speech) -> Sheet:
    """The sheet that looks for a pass: a number, no PIN."""
    return Sheet(
        action=action,
        icon="find",
        title=speech.label("act_find"),
        effect=_say(speech, "number"),
        do=_say(speech, "look"),
        fixed=(("lang", speech.lang), *_lane(lane)),
        typed=Typed("number", _say(speech, "number"), MAX_TYPED_CHARACTERS, number, letter="X"),
        pin=False,
    )


def answer(act: Act, result: Result, speech: Speech) -> str:
    """What an act came to, as one sentence."""
    if result.came is Came.CENTRE:
        said = act_words.CENTRE.get(result.word, act_words.CENTRE["needs_update"])
        return speech.pick(said) + (f" ({result.detail})" if result.word == "not_enrolled" else "")
    said = act_words.DONE[act] if result.came is Came.DONE else act_words.CAME[result.came]
    return speech.pick(said).format(
        who=result.who,
        count=result.count,
        used=result.used,
        left=result.left,
        more="" if result.left is None else speech.pick(act_words.MORE).format(left=result.left),
        wait=-(-result.wait_ms // 1000),
        detail=result.detail,
        word=result.word,
        reason="" if result.reason is None else short(result.reason, speech),
        shown="" if result.tried is None else _tried(result.tried, speech),
    )


def objection(why: Unfit | NotSought, speech: Speech) -> str:
    """Why a form was not taken."""
    said: Pair = act_words.UNFIT[why] if isinstance(why, Unfit) else act_words.NOT_SOUGHT[why]
    return speech.pick(said)


def found(passes: Sequence[Listed], speech: Speech) -> tuple[FoundPass, ...]:
    """The passes that were found, each as staff need it: who, what, how long."""
    return tuple(_found(one, speech) for one in passes)


def found_title(passes: Sequence[FoundPass], speech: Speech) -> str:
    """How many there are."""
    return _say(speech, "found", n=len(passes)) if passes else _say(speech, "none_found")


def entry_line(scan: Scan | None, speech: Speech) -> str:
    """The entry that a sheet would return."""
    if scan is None:
        return _say(speech, "no_entry")
    who = scan.holder or (f"…{scan.ticket_last6}" if scan.ticket_last6 else "")
    return " · ".join(
        filter(None, (who, times.clock(scan.at_ms, speech.zone), speech.label("at_lane", lane=scan.lane)))
    )


def _found(one: Listed, speech: Speech) -> FoundPass:
    listed, product = one.listed, one.product.zh
    if speech.lang == "en":
        product = one.product.en or product
    until = times.last_day(moments.minute_ms(listed.right.not_after), speech.zone)
    last6 = f"…{listed.last_digits}"
    meta = " · ".join(filter(None, (product, speech.label("until", until=until))))
    return FoundPass(listed.pass_id.hex(), " · ".join(filter(None, (listed.masked_name, last6))), meta)


def _tried(tried: Tried, speech: Speech) -> str:
    """What was held to a reader."""
    if isinstance(tried, CardFault):
        return speech.told(Face(Reason.MALFORMED, FaceFacts(card=tried.trouble)))
    if isinstance(tried, TriedCode):
        return speech.pick(act_words.SHOWN[tried])
    absent = speech.pick(act_words.SHOWN["absent"])
    return speech.pick(act_words.SHOWN["card"]).format(
        area=tried.area or absent,
        number=tried.number or absent,
        identification=tried.identification or absent,
        id_number=tried.id_number or absent,
        auth=tried.auth.upper() if tried.auth is not CardAuth.NONE else absent,
    )


def _target(lane: LaneStatus, speech: Speech) -> str:
    return _say(speech, "out" if lane.side is Side.EXIT else "in", lane=lane.lane)


def _lane(lane: LaneStatus | None) -> tuple[tuple[str, str], ...]:
    return () if lane is None else (("lane", str(lane.lane)),)


def _reasons(reasons: Sequence[str], speech: Speech) -> tuple[Choice, ...]:
    options = tuple((word, speech.pick(act_words.REASONS[word])) for word in reasons)
    return (Choice("reason", _say(speech, "why"), options),) if options else ()


def _minutes(asks: Ask, speech: Speech) -> tuple[Choice, ...]:
    if asks is not Ask.MINUTES:
        return ()
    options = tuple((str(minutes), _say(speech, "n_minutes", n=minutes)) for minutes in HOLD_MINUTES)
    return (Choice("minutes", _say(speech, "minutes"), options),)


def _texts(asks: Ask, url: str, speech: Speech) -> tuple[Text, ...]:
    if asks is not Ask.CENTRE:
        return ()
    centre = Text("url", _say(speech, "url"), MAX_URL_CHARACTERS, url)
    return (centre, Text("code", _say(speech, "code"), MAX_CODE_CHARACTERS))


def _say(speech: Speech, name: str, /, **values: object) -> str:
    return speech.pick(act_words.SHEET[name]).format(**values)
