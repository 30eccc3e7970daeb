"""The visitor face as its template needs it: a lane's face put into lines, shape, fact, band and way."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from markupsafe import Markup

from gate_agent.board import Shown
from gate_agent.commissioning import text_of
from gate_agent.faces import FAMILY, Face, FaceFacts, Family, State
from gate_agent.screen import alarm_words, words
from gate_agent.screen.speech import Speech, sentence_of
from gate_agent.screen.words import Sentence
from gate_agent.status import LaneStatus, Side, Status, Way
from wire.reasons import Reason

ENDS_SOON_DAYS = 30
PIPS_LIMIT = 6

SHAPES: Mapping[str, str] = {
    Family.IDLE: "read",
    Family.BOOT: "lane",
    Family.FIRE: "exit",
    Reason.NEEDS_CARD: "card",
    State.ONE_AT_A_TIME: "person",
}
"""The families and the two verdicts whose shape does not bear the family's own name."""
SIDES: Mapping[Side, str] = {Side.ENTRY: "入口", Side.EXIT: "出口"}
WALK: Mapping[Way, str] = {Way.UP: "请向前走", Way.LEFT: "请向左走", Way.RIGHT: "请向右走"}
SENDS_AWAY = frozenset({Family.LANE, Family.BOOT, Family.FAULT})
"""Families whose last line is the way panel: 请走 2 号通道."""
NARROW: Mapping[str, tuple[str, str]] = {
    "本通道关闭": ("本通道", "关闭"),
    "本通道故障": ("本通道", "故障"),
    "本通道调试中": ("本通道", "调试中"),
    "本机暂停验票": ("本机", "暂停验票"),
}
"""How a first line breaks where the way panel leaves it two thirds of the screen."""


@dataclass(frozen=True, slots=True)
class Band:
    """The lowest band: what to do now; `code` is what service asks for on the telephone."""

    zh: str = ""
    en: str = ""
    shape: str = ""
    code: str = ""


@dataclass(frozen=True, slots=True)
class WayPanel:
    """The white third: where to walk. `to_lane` None: through this lane."""

    direction: Way
    zh: str
    en: str
    to_lane: int | None = None


@dataclass(frozen=True, slots=True)
class FaceView:
    """One visitor face, every word of it."""

    lane: int
    number: int
    verdict: str
    family: Family
    shape: str
    lines: tuple[str, ...]
    width: str
    en: str
    fact: str
    band: Band
    place: str
    way: WayPanel | None
    holder: str
    product: str
    pips: tuple[str, ...]
    code: Markup
    """A QR code in place of the shape: only while the lane is commissioned."""


def view(lane: LaneStatus, shown: Shown, status: Status, now_ms: int | None) -> FaceView:
    """What the lane's visitor sees. `now_ms`: the gate's time, None while it is unknown."""
    zh, en = Speech("zh", status.zone, now_ms), Speech("en", status.zone, now_ms)
    face = shown.face
    family = FAMILY[face.verdict]
    sentence = sentence_of(face) if lane.side is Side.ENTRY else words.at_exit(sentence_of(face))
    way = _way(face, family, lane, en)
    lines, english = _headline(face.facts, sentence, family, way, zh, en)
    going = family is Family.GO
    fact = zh.fill(sentence.fact_zh, face.facts)
    return FaceView(
        lane=lane.lane,
        number=shown.number,
        verdict=face.verdict,
        family=family,
        shape=_shape(face),
        lines=lines,
        width=_width(lines, way),
        en=english,
        fact=face.facts.commission or face.facts.check or ("" if _fact_is_in_the_band(face) else fact),
        band=_band(face, family, sentence, zh, en),
        place=SIDES[lane.side] if way or not status.venue.zh else f"{SIDES[lane.side]} · {status.venue.zh}",
        way=way,
        holder=face.holder if going else "",
        product=face.product.zh if going else "",
        pips=_pips(face.facts) if face.verdict is State.ADMITTED else (),
        code=_code_square(lane.lane, face.facts.commission),
    )


def admitted_line(facts: FaceFacts, speech: Speech) -> Sentence:
    """Which of the lines of an admission applies (reasons.md, Admitted: the lines)."""
    if facts.venues_left:
        return words.VENUES_LEFT
    if facts.left_here:
        return words.LEFT_HERE
    if 0 in (facts.left_here, facts.venues_left):
        return words.LAST_USE
    values = speech.values(facts)
    if 0 <= int(values.get("days", -1)) <= ENDS_SOON_DAYS:
        return words.DAYS_LEFT
    return words.ENTRY_TODAY_UNTIL if "until" in values else words.ENTRY_TODAY


def _headline(
    facts: FaceFacts, sentence: Sentence, family: Family, way: WayPanel | None, zh: Speech, en: Speech
) -> tuple[tuple[str, ...], str]:
    """The large lines and the English beneath. Who is sent away is told by the way panel, or else by the staff."""
    lines = tuple(sentence.zh.split(words.BREAK))
    if family not in SENDS_AWAY or facts.enrolling is not None:
        return lines, "" if family is Family.GO else sentence.en
    first = lines[:-1]
    if not first:
        if way is None:
            return (words.NO_OTHER_LANE.zh,), words.NO_OTHER_LANE.en
        return tuple(zh.fill(line, facts) for line in ("请走", "{to}号通道")), en.fill(sentence.en, facts)
    english, _, _ = sentence.en.partition(". ")
    if way is None:
        return (*first, words.NO_OTHER_LANE.zh), f"{english}. {words.NO_OTHER_LANE.en}"
    return NARROW.get(first[0], first), english


def _width(lines: tuple[str, ...], way: WayPanel | None) -> str:
    """The class that sizes the headline by its longest line; only one line alone may be larger than w6."""
    least = 3 if len(lines) == 1 or way else 6
    return f"w{min(max(least, *map(len, lines)), words.LONGEST_LINE)}"


def _fact_is_in_the_band(face: Face) -> bool:
    return FAMILY[face.verdict] in (Family.RETRY, Family.GO) or face.facts.enrolling is not None


def _band(face: Face, family: Family, sentence: Sentence, zh: Speech, en: Speech) -> Band:
    if face.facts.enrolling is not None:
        return Band(sentence.fact_zh, sentence.fact_en, "lane")
    match family:
        case Family.GO if face.verdict is State.ADMITTED:
            return Band(zh.fill(admitted_line(face.facts, zh).zh, face.facts))
        case Family.GO:
            return Band(zh.fill(sentence.fact_zh, face.facts))
        case Family.RETRY if fact := zh.fill(sentence.fact_zh, face.facts):
            shape = "fault" if face.verdict is Reason.NEEDS_NETWORK else _shape(face)
            return Band(fact, en.fill(sentence.fact_en, face.facts), shape)
        case Family.READ:
            return Band(words.ONE_SECOND.zh, words.ONE_SECOND.en, "read")
        case Family.STAFF:
            return Band(words.WAIT_HERE.zh, words.WAIT_HERE.en, "staff")
        case Family.FAULT:
            return Band(words.NOT_DEDUCTED.zh, code=_code(face.facts))
        case Family.FIRE | Family.IDLE:
            return Band(sentence.fact_zh, sentence.fact_en)
    return Band(words.ASK_STAFF.zh, words.ASK_STAFF.en, "staff")


def _code(facts: FaceFacts) -> str:
    """读头未连接 · E-R1, or nothing."""
    if facts.trouble is None:
        return ""
    trouble = alarm_words.TROUBLES[facts.trouble]
    return f"{trouble.device[0]}{trouble.what[0]} · {trouble.code}"


def _shape(face: Face) -> str:
    if face.facts.card is not None:
        return "card"
    family = FAMILY[face.verdict]
    return SHAPES.get(face.verdict) or SHAPES.get(family) or family


def _way(face: Face, family: Family, lane: LaneStatus, en: Speech) -> WayPanel | None:
    if family is Family.GO:
        return WayPanel(lane.way, WALK[lane.way], en.fill(sentence_of(face).en, face.facts))
    to = face.facts.to_lane
    if family not in SENDS_AWAY or to is None:
        return None
    return WayPanel(Way.RIGHT if to > lane.lane else Way.LEFT, "", "", to)


def _code_square(lane: int, digits: str) -> Markup:
    if not digits:
        return Markup("")
    import segno

    code = segno.make_qr(text_of(lane, digits), error="m")
    return Markup(code.svg_inline(border=4, dark="#000", light="#fff", omitsize=True))  # noqa: S704 - drawn here


def _pips(facts: FaceFacts) -> tuple[str, ...]:
    """One pip per venue of a combo ticket: used before, used now, left. More than PIPS_LIMIT are not drawn."""
    if facts.venues_left is None or facts.venues_all is None or facts.venues_all > PIPS_LIMIT:
        return ()
    used = facts.venues_all - facts.venues_left - 1
    return ("used",) * used + ("now",) + ("",) * facts.venues_left
