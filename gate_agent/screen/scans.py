"""The staff's list and the detail of one scan as their templates need them; the counters of the day."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from gate_agent.board import Scan
from gate_agent.faces import FAMILY, Face, Family, State
from gate_agent.screen import card_words, staff_words, times, visitor, words
from gate_agent.screen.speech import Speech, sentence_of
from gate_agent.screen.staff_words import Telling
from wire.reasons import Reason

ROWS_LIMIT = 40
BARS_LIMIT = 5


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the list. Refusals say the reason first, admissions the name, or without one the number."""

    number: int
    lane: int
    family: Family
    headline: str
    meta: str
    time: str
    place: str

    @property
    def refused(self) -> bool:
        """Whether the visitor was not let in."""
        return self.family is not Family.GO


@dataclass(frozen=True, slots=True)
class Use:
    """One earlier use of the pass."""

    time: str
    place: str


@dataclass(frozen=True, slots=True)
class Likely:
    """An act that staff will likely want for a scan: `query` goes along to its sheet."""

    act: str
    icon: str
    label: str
    query: dict[str, str]


@dataclass(frozen=True, slots=True)
class Detail:
    """Everything about one scan. An unknown fact has no line."""

    number: int
    family: Family
    headline: str
    where: str
    say: str
    what: str
    facts: tuple[tuple[str, str, str], ...]
    photo: bool
    """The holder's photo can be shown."""
    earlier_title: str
    earlier: tuple[Use, ...]
    likely: tuple[Likely, ...]


def rows(scans: Sequence[Scan], speech: Speech) -> tuple[Row, ...]:
    """The last scans, newest first."""
    return tuple(_row(scan, speech) for scan in scans[:ROWS_LIMIT])


def bars(refused: Mapping[Reason, int], speech: Speech) -> tuple[tuple[str, int], ...]:
    """Today's refusals by what the visitor was told, largest first; the rest together in the last bar."""
    told: Counter[str] = Counter()
    for reason, count in refused.items():
        told[short(reason, speech)] += count
    if len(told) <= BARS_LIMIT:
        return tuple(told.most_common())
    most = told.most_common(BARS_LIMIT - 1)
    return (*most, (speech.label("others"), told.total() - sum(count for _, count in most)))


def detail(scan: Scan, speech: Speech, can: Collection[str] = (), *, photo: bool = False) -> Detail:
    """One scan whole, with those of the likely acts that staff `can` do here."""
    family = _family(scan)
    telling = _telling(scan)
    where = [times.clock(scan.at_ms, speech.zone), speech.label("at_lane", lane=scan.lane), speech.label(scan.shown_by)]
    if scan.passed is not None:
        where.append(speech.label("passed" if scan.passed else "not_passed"))
    say = speech.fill(speech.pick((telling.say_zh, telling.say_en)), scan.facts)
    if scan.checked:
        say = speech.told(Face(State.CHECK_ONLY))
    what = speech.fill(speech.pick((telling.what_zh, telling.what_en)), scan.facts)
    return Detail(
        number=scan.number,
        family=family,
        headline=_headline(scan, speech),
        where=" · ".join(filter(None, where)),
        say=say or speech.told(_face(scan)),
        what=what,
        facts=_facts(scan, speech),
        photo=photo,
        earlier_title=speech.label("last_entries" if family is Family.GO else "earlier"),
        earlier=tuple(Use(_use_time(use.at_ms, speech), _use_place(use.lane, speech)) for use in scan.earlier),
        likely=tuple(one for one in _likely(scan, family, speech) if one.act in can),
    )


def _likely(scan: Scan, family: Family, speech: Speech) -> list[Likely]:
    """Return the entry or let in by hand; find the pass, to be let in by its number."""
    lane = {"lane": str(scan.lane)}
    acts = []
    if scan.intent_seq:
        acts.append(Likely("return", "return", speech.label("act_return"), lane | {"seq": str(scan.intent_seq)}))
    elif family is not Family.GO:
        acts.append(Likely("let_in", "open", speech.label("let_in_at", lane=scan.lane), lane))
    number = {"number": scan.ticket_last6} if scan.ticket_last6 else {}
    acts.append(Likely("counter", "find", speech.label("act_find"), lane | number))
    return acts


def _family(scan: Scan) -> Family:
    """The look of a line; what was only checked opened nothing, and never looks as if it had."""
    return Family.STAFF if scan.checked else FAMILY[scan.verdict]


def _row(scan: Scan, speech: Speech) -> Row:
    family = _family(scan)
    meta = [] if family is Family.GO else [scan.holder]
    meta += [_product(scan, speech), _meta(scan, family, speech)]
    if family is not Family.GO and not scan.holder and scan.ticket_last6:
        meta.append(f"…{scan.ticket_last6}")
    return Row(
        number=scan.number,
        lane=scan.lane,
        family=family,
        headline=_headline(scan, speech),
        meta=" · ".join(filter(None, meta)),
        time=times.clock(scan.at_ms, speech.zone),
        place=f"{speech.label('lane_n', lane=scan.lane)} · {speech.label(scan.shown_by)}",
    )


def _headline(scan: Scan, speech: Speech) -> str:
    told = speech.told(_face(scan))
    if scan.checked:
        return f"{speech.label('checked')} · {told}"
    who = scan.holder or (f"…{scan.ticket_last6}" if scan.ticket_last6 else "")
    return f"{who} · {told}" if who and FAMILY[scan.verdict] is Family.GO else told


def _meta(scan: Scan, family: Family, speech: Speech) -> str:
    """What distinguishes this scan: which entry, how old the code, what happened, or the fact the visitor was told."""
    if scan.verdict is State.ADMITTED:
        line = visitor.admitted_line(scan.facts, speech)
        line = words.ENTRY_TODAY if line is words.ENTRY_TODAY_UNTIL else line
        return speech.fill(speech.pick((line.zh, line.en)), scan.facts)
    if scan.facts.age_s is not None:
        return speech.label("code_ahead" if scan.facts.age_s < 0 else "code_age", age=abs(scan.facts.age_s))
    if family in (Family.STAFF, Family.FAULT):
        telling = _telling(scan)
        return speech.fill(speech.pick((telling.what_zh, telling.what_en)), scan.facts).rstrip("。.")
    if family is Family.RETRY:
        return ""
    sentence = sentence_of(_face(scan))
    return speech.fill(speech.pick((sentence.fact_zh, sentence.fact_en)), scan.facts)


def _telling(scan: Scan) -> Telling:
    if scan.verdict is Reason.USED_UP:
        return staff_words.USED_UP[scan.facts.limit]
    if scan.facts.electronic_card and scan.verdict in card_words.ELECTRONIC_STAFF:
        return card_words.ELECTRONIC_STAFF[scan.verdict]
    if scan.verdict is Reason.CODE_TOO_OLD and (scan.facts.age_s or 0) < 0:
        return staff_words.CODE_AHEAD
    if scan.facts.card is not None:
        return card_words.STAFF[scan.facts.card]
    return staff_words.STAFF[scan.verdict] if isinstance(scan.verdict, Reason) else staff_words.ADMITTED


def _facts(scan: Scan, speech: Speech) -> tuple[tuple[str, str, str], ...]:
    """Class, label and value of each fact that is known."""
    until = speech.values(scan.facts).get("until", "")
    lines = (
        ("name", speech.label("name"), scan.holder),
        ("", speech.label("product"), _product(scan, speech)),
        ("", speech.label("ticket"), f"…{scan.ticket_last6}" if scan.ticket_last6 else ""),
        ("", speech.label("valid"), speech.label("until", until=until) if until else ""),
    )
    return tuple(line for line in lines if line[2])


def _face(scan: Scan) -> Face:
    return Face(scan.verdict, scan.facts)


def _product(scan: Scan, speech: Speech) -> str:
    return (scan.product.en or scan.product.zh) if speech.lang == "en" else scan.product.zh


def short(reason: Reason, speech: Speech) -> str:
    """A refusal in few words."""
    short = staff_words.SHORT.get(reason)
    return speech.pick(short) if short else speech.told(Face(reason))


def _use_time(at_ms: int, speech: Speech) -> str:
    at = speech.time(at_ms)
    return speech.label("today_at", at=at) if times.is_today(at_ms, speech.now_ms, speech.zone) else at


def _use_place(lane: int | None, speech: Speech) -> str:
    place = speech.label("elsewhere") if lane is None else speech.label("at_lane", lane=lane)
    return f"{place} · {speech.label('entered')}"
