"""The conductor and the product's rules: what a visitor and the staff are told, with every fact the sentence names."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from gate_agent import judging
from gate_agent.announcement import announce, next_of_group
from gate_agent.decision import LetOut, Refuse, decide_exit
from gate_agent.faces import State
from gate_agent.facts import find_out
from gate_agent.recognition import recognise
from gate_agent.screen import staff_words, visitor
from gate_agent.screen.speech import Speech, sentence_of
from gate_agent.uses import UNUSED
from hardware.simulated_turnstile import WINDOW_MS, TurnstileTrouble, Walk
from hardware.turnstile import Direction
from tests.gate_agent.stage import Stage, admitted, stage_at
from tests.gate_agent.venue import ANNUAL, DAY_MIN, NOW_MINUTE, NOW_MS, PRODUCTS, ZONE, Venue
from wire import moments
from wire.calendar import Calendar, Closure, DayRange, Hours
from wire.entitlement import Rule
from wire.feed import ProductDocument, UseRow
from wire.messages import EntryKind
from wire.reasons import Reason

TODAY = moments.day_number(NOW_MS, ZONE)
"""A Wednesday; NOW_MS is 19:06:40."""
MINUTE_MS = moments.MINUTE_MS
DAY_MS = 86_400_000
NINE_TO_FIVE = Hours(9 * 60, 17 * 60)


def with_rule(venue: Venue, rule: Rule, **changes: object) -> None:
    """The annual pass of this venue keeps to another rule."""
    product: ProductDocument = msgspec.structs.replace(PRODUCTS[0], rule=rule, **changes)
    venue.products = (product, *PRODUCTS[1:])


def told(stage: Stage, lang: str = "zh") -> tuple[str, str, str]:
    """The visitor's fact line, and what happened and what to say on the staff's face."""
    face, scan, speech = stage.face(), stage.scans()[0], Speech(lang, ZONE.key, stage.clock.look().now.at_ms)
    sentence = sentence_of(face)
    assert isinstance(scan.verdict, Reason)
    of_limit = scan.verdict is Reason.USED_UP
    telling = staff_words.USED_UP[scan.facts.limit] if of_limit else staff_words.STAFF[scan.verdict]
    en = lang == "en"
    texts = (
        sentence.fact_en if en else sentence.fact_zh,
        telling.what_en if en else telling.what_zh,
        telling.say_en if en else telling.say_zh,
    )
    fact, what, say = (speech.fill(text, scan.facts) for text in texts)
    return fact, what, say


CLOSED: list[tuple[Calendar, str, str, str, str]] = [
    (
        Calendar(hours=(NINE_TO_FIVE,)),
        "今日开放 09:00–17:00",
        "Open today 09:00–17:00",
        "",
        "今天开放时间是 09:00–17:00",
    ),
    (Calendar(hours=(Hours(20 * 60, 22 * 60), NINE_TO_FIVE)), "今日开放 20:00–22:00", "Open today 20:00–22:00", "", ""),
    (Calendar(hours=(Hours(0, 1440, 0b1),)), "", "", "", ""),
    (Calendar(closed_days=(DayRange(TODAY, TODAY, "设备检修"),)), "", "", "（设备检修）", ""),
    (Calendar(hours=(NINE_TO_FIVE,), closures=(Closure(NOW_MINUTE - 5, None, "大风"),)), "", "", "（大风）", ""),
]


@pytest.mark.slow
@pytest.mark.parametrize(("calendar", "fact_zh", "fact_en", "cause", "say"), CLOSED)
def test_a_closed_venue_tells_its_hours_and_staff_why(
    stage: Stage, venue: Venue, calendar: Calendar, fact_zh: str, fact_en: str, cause: str, say: str
) -> None:
    venue.calendar = calendar
    ticket = venue.issue()
    venue.settle(stage.data_dir)
    assert stage.show(ticket.text) == Refuse(Reason.VENUE_CLOSED)
    fact, what, said = told(stage)
    assert fact == fact_zh
    assert cause in what
    assert say in said
    assert told(stage, "en")[0] == fact_en
    assert stage.pulses() == []


RULES: list[tuple[Rule, Reason, str, str]] = [
    (Rule(needs_card=True), Reason.NEEDS_CARD, "年票码不能单独使用", "The code alone will not do"),
    (Rule(blackout=(DayRange(TODAY, TODAY),)), Reason.BLACKOUT, "11月18日 不可用", "Not usable 18 Nov"),
    (
        Rule(blackout=(DayRange(TODAY - 1, TODAY + 60),)),
        Reason.BLACKOUT,
        "11月17日–2027年1月17日 不可用",
        "Not usable 17 Nov–17 Jan 2027",
    ),
    (
        Rule(blackout=(DayRange(TODAY - 9, TODAY + 60, "", 0b000_0101),)),
        Reason.BLACKOUT,
        "周一三 不可用",
        "Not usable Mon Wed",
    ),
    (Rule(slots=(NINE_TO_FIVE,)), Reason.WRONG_TIME_SLOT, "可入园时段 09:00–17:00", "Entry 09:00–17:00"),
    (Rule(slots=(Hours(0, 1440, 0b110_0000),)), Reason.WRONG_TIME_SLOT, "可入园时段 周六日", "Entry Sat Sun"),
    (
        Rule(slots=(Hours(540, 660, 0b001_1000),)),
        Reason.WRONG_TIME_SLOT,
        "可入园时段 周四五 09:00–11:00",
        "Entry Thu Fri 09:00–11:00",
    ),
    (
        Rule(slots=(Hours(540, 660, 0b000_0011), Hours(60, 120, 0b001_1100))),
        Reason.WRONG_TIME_SLOT,
        "可入园时段 01:00–02:00",
        "Entry 01:00–02:00",
    ),
]


@pytest.mark.slow
@pytest.mark.parametrize(("rule", "reason", "zh", "en"), RULES)
@pytest.mark.parametrize("listed", [True, False])
def test_a_rule_of_the_day_is_told_whether_the_pass_is_listed_or_not(
    stage: Stage, venue: Venue, rule: Rule, reason: Reason, zh: str, en: str, listed: bool
) -> None:
    with_rule(venue, rule)
    ticket = venue.issue(listed=listed, issued_version=43)
    venue.settle(stage.data_dir)
    assert stage.show(ticket.text) == Refuse(reason)
    assert told(stage)[0] == zh
    assert told(stage, "en")[0] == en


def test_the_card_opens_where_the_code_alone_will_not_do(stage: Stage, venue: Venue) -> None:
    with_rule(venue, Rule(needs_card=True))
    ticket = venue.issue()
    venue.settle(stage.data_dir)
    assert admitted(stage.show(ticket.card))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("rule", "days", "headline"),
    [
        (Rule(per_day=None, per_month=2), (0, 3), "本月次数已用完"),
        (Rule(per_day=None, per_year=2), (0, 30), "本年次数已用完"),
        (Rule(per_day=None, total=2), (0, 60), "次数已用完"),
        (Rule(per_day=2), (0, 0), "今日次数已用完"),
        (Rule(per_day=1, total=9), (0,), "今日已入园"),
    ],
)
def test_a_limit_is_named_and_the_latest_use_too(
    stage: Stage, venue: Venue, rule: Rule, days: tuple[int, ...], headline: str
) -> None:
    with_rule(venue, rule)
    ticket = venue.issue()
    venue.settle(stage.data_dir)
    began_ms = stage.clock.began_ms
    for day in days:
        stage.clock.began_ms = began_ms + day * DAY_MS
        stage.arms[0].walk(Walk.THROUGH)
        assert admitted(stage.show(ticket.text))
        stage.wait(2_000)
    assert stage.show(ticket.text) == Refuse(Reason.USED_UP)
    assert sentence_of(stage.face()).zh == headline
    assert "1号通道" in told(stage)[0]
    assert all(all(told(stage, lang)) for lang in ("zh", "en"))


def test_too_soon_says_when_again(stage: Stage, venue: Venue) -> None:
    with_rule(venue, Rule(per_day=None, gap_min=30))
    ticket = venue.issue()
    venue.settle(stage.data_dir)
    stage.arms[0].walk(Walk.THROUGH)
    stage.show(ticket.text)
    stage.wait(60_000)
    assert stage.show(ticket.text) == Refuse(Reason.TOO_SOON)
    assert told(stage)[0] == "19:36 后可再次入园"
    assert told(stage, "en") == (
        "Again from 19:36",
        "Too short since the last entry (19:06).",
        "You entered at 19:06; again from 19:36.",
    )
    stage.timeline.advance(29 * MINUTE_MS)
    assert admitted(stage.show(ticket.text))


def test_who_is_inside_leaves_before_entering_again(stage: Stage, venue: Venue) -> None:
    with_rule(venue, Rule(per_day=None, leave_first=True))
    ticket = venue.issue()
    venue.settle(stage.data_dir)
    stage.arms[0].walk(Walk.THROUGH)
    stage.show(ticket.text)
    stage.wait(2_000)
    assert stage.show(ticket.text, lane=2) == Refuse(Reason.ALREADY_INSIDE)
    stage.show(ticket.text)
    assert told(stage)[0] == "19:06 · 1号通道入园"
    leave(stage, ticket.text)
    assert admitted(stage.show(ticket.text, lane=2))


@pytest.mark.parametrize("why", ["nobody walks", "the turnstile is away", "somebody walks late"])
def test_who_shows_a_pass_at_the_exit_and_stays_has_not_left(tmp_path: Path, venue: Venue, why: str) -> None:
    """Else one pass, handed out over the fence after each such show, would let in anybody."""
    with_rule(venue, Rule(per_day=None, leave_first=True))
    text = venue.issue().text
    venue.settle(tmp_path)
    with stage_at(tmp_path, ways=(Direction.OUT, Direction.IN)) as stage:
        stage.arms[1].walk(Walk.THROUGH)
        assert admitted(stage.show(text, lane=2))
        stage.wait(2_000)
        if why == "the turnstile is away":
            stage.arms[0].trouble(TurnstileTrouble.RELAY_GONE)
        assert stage.show(text) == (Refuse(Reason.FAULT) if why == "the turnstile is away" else LetOut())
        stage.wait(WINDOW_MS + 1_200)
        stage.arms[0].trouble(None)
        assert stage.told()[2:] == ["event 1 exit", "event 1 exit_annulled"]
        if why == "somebody walks late":
            stage.arms[0].walk(Walk.FORCE)
            stage.wait(2_000)
            assert stage.told()[-1] == "event 1 exit"
            assert admitted(stage.show(text, lane=2))
        else:
            assert stage.show(text, lane=2) == Refuse(Reason.ALREADY_INSIDE)


def leave(stage: Stage, text: str) -> None:
    """Out through a lane out of the venue, as the conductor writes it down."""
    world = stage.clock.look()
    known = find_out(recognise(text), world, leaving=True)
    assert decide_exit(known.facts) == LetOut()
    told = announce(2, known, LetOut(), UNUSED, world, 5_000, None)
    assert (told.face.verdict, sentence_of(told.face).zh) == (State.EXIT, "请慢走")

    stage.journal.perform(lambda entries: judging.append_exit(entries, 2, known, world))


def test_a_party_goes_in_as_a_group_that_counts_once(stage: Stage, venue: Venue) -> None:
    with_rule(venue, Rule(per_day=1, party=3))
    ticket = venue.issue()
    venue.settle(stage.data_dir)
    verdict = stage.show(ticket.text)
    assert admitted(verdict)
    face = stage.face()
    assert face.verdict is State.ADMITTED_GROUP
    zh = Speech("zh", ZONE.key, NOW_MS)
    assert zh.fill(sentence_of(face).fact_zh, face.facts) == "第 1 位 / 共 3 位"
    second = next_of_group(face, 2)
    assert zh.fill(sentence_of(second).fact_zh, second.facts) == "第 2 位 / 共 3 位"
    assert [entry.kind for entry in stage.written() if entry.kind is EntryKind.INTENT] == [EntryKind.INTENT]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("rule", "changes", "centre", "zh", "en"),
    [
        (Rule(per_day=3), {}, None, "今日第1次 · 有效期至 2027-09-14", "Entry 1 today · valid until 2027-09-14"),
        (Rule(per_day=None, total=5), {}, None, "本景区还可入园 4 次", "4 entries left here"),
        (Rule(per_day=None, total=1), {}, None, "本次用完，祝您游园愉快", "Last entry used. Enjoy your visit."),
        (Rule(per_day=None, total=1), {"venues": 5}, None, "还可游 4 个景区", "4 venues left"),
        (Rule(per_day=None, total=1), {"venues": 5}, 2, "还可游 2 个景区", "2 venues left"),
        (Rule(per_day=None, total=1), {"venues": 5}, 4, "本次用完，祝您游园愉快", "Last entry used. Enjoy your visit."),
    ],
)
def test_an_admission_says_what_is_left(
    stage: Stage, venue: Venue, rule: Rule, changes: dict[str, object], centre: int | None, zh: str, en: str
) -> None:
    with_rule(venue, rule, **changes)
    ticket = venue.issue()
    if centre is not None:
        venue.uses[ticket.pass_id] = UseRow(ticket.pass_id, 0, TODAY, 0, (), elsewhere=centre)
    venue.settle(stage.data_dir)
    assert admitted(stage.show(ticket.text))
    facts = stage.face().facts
    speech_zh, speech_en = Speech("zh", ZONE.key, NOW_MS), Speech("en", ZONE.key, NOW_MS)
    line = visitor.admitted_line(facts, speech_zh)
    assert speech_zh.fill(line.zh, facts) == zh
    assert speech_en.fill(line.en, facts) == en


def test_the_last_thirty_days_are_counted_down(stage: Stage, venue: Venue) -> None:
    ticket = venue.issue(ANNUAL, not_after=NOW_MINUTE + 20 * DAY_MIN)
    venue.settle(stage.data_dir)
    assert admitted(stage.show(ticket.text))
    facts, speech = stage.face().facts, Speech("zh", ZONE.key, NOW_MS)
    assert speech.fill(visitor.admitted_line(facts, speech).zh, facts) == "还有 20 天到期 · 2026-12-08"


def test_a_use_known_from_the_list_is_told_with_its_time(stage: Stage, venue: Venue) -> None:
    ticket = venue.issue()
    at_ms = NOW_MS - 3 * 3_600_000
    venue.uses[ticket.pass_id] = UseRow(ticket.pass_id, 1, TODAY, 1, (), 1, 1, at_ms)
    venue.settle(stage.data_dir)
    assert stage.show(ticket.text) == Refuse(Reason.USED_UP)
    assert told(stage)[0] == "今日 16:06 · 其他闸机"
    assert told(stage, "en")[0] == "Today 16:06 · another gate"


def test_without_the_time_nothing_is_said_of_today(stage: Stage, venue: Venue) -> None:
    venue.calendar = Calendar(hours=(NINE_TO_FIVE,), closures=(Closure(NOW_MINUTE - 5, None, "大风"),))
    ticket = venue.issue()
    venue.settle(stage.data_dir, knows_time=False)
    stage.clock.knows_time = False
    assert stage.show(ticket.text) == Refuse(Reason.VENUE_CLOSED)
    assert told(stage)[0] == ""
    assert "（大风）" in told(stage)[1]
