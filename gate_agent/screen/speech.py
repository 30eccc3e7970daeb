"""One language at one moment: fills sentences with a face's facts, times on the venue's clock, labels of the screen."""

from __future__ import annotations

from dataclasses import dataclass

from gate_agent.faces import Face, FaceFacts
from gate_agent.screen import alarm_words, card_words, staff_words, times, words
from gate_agent.screen.labels import LABELS
from gate_agent.screen.words import Sentence
from wire import moments
from wire.entitlement import StopCause
from wire.reasons import Reason

LANGUAGES = ("zh", "en")

_NOT_TODAY = {
    "今日 {at}": "{at}",
    "您今天 {at}": "您 {at}",
    "今日次数已用": "次数已用",
    "Today {at}": "{at}",
    "today at {at}": "at {at}",
    "Today's entry was used": "Entry used",
}
_ELSEWHERE = {
    "{lane}号通道": "其他闸机",
    "Lane {lane}": "another gate",
    "through lane {lane}": "at another gate",
    "lane {lane}": "another gate",
}


@dataclass(frozen=True, slots=True)
class Speech:
    """`lang` is "zh" or "en"; `now_ms` is the gate's time, None while it does not know it."""

    lang: str
    zone: str
    now_ms: int | None

    def pick(self, zh_en: tuple[str, str]) -> str:
        """Of a pair, this language."""
        return zh_en[self.lang == "en"]

    def label(self, name: str, /, **values: object) -> str:
        """One of the labels."""
        return self.pick(LABELS[name]).format(**values)

    def time(self, at_ms: int | None) -> str:
        """09:12, with the day where it is not today; empty when not known."""
        return "" if at_ms is None else times.short(at_ms, self.now_ms, self.zone)

    def fill(self, template: str, facts: FaceFacts) -> str:
        """The template with the facts in it; empty when it names one that is not known."""
        return words.fill(self._placed(template, facts), self.values(facts))

    def values(self, facts: FaceFacts) -> dict[str, str]:
        """The facts as text, by the names the sentences use."""
        n = next((n for n in (facts.of_count, facts.entries_today, facts.count) if n is not None), None)
        left = facts.left_here if facts.venues_left is None else facts.venues_left
        numbers = {"to": facts.to_lane, "lane": facts.at_lane, "n": n, "k": facts.count, "left": left}
        filled = {name: "" if number is None else str(number) for name, number in numbers.items()}
        filled |= {"hours": times.hours(facts.hours, self.lang), "slot": times.hours(facts.slot, self.lang)}
        filled |= {"range": times.days(facts.dates, self.now_ms, self.zone, self.lang)}
        filled |= {"cause": facts.cause, "who": facts.who, "age": "" if facts.age_s is None else str(abs(facts.age_s))}
        filled |= {"at": self.time(facts.at_ms), "next": self.time(facts.next_ms)}
        if facts.until_ms is not None:
            filled["until"] = times.last_day(facts.until_ms, self.zone)
            if self.now_ms is not None:
                filled["days"] = str(times.days_left(facts.until_ms, self.now_ms, self.zone))
        if facts.stop is not None:
            filled["when"] = self.time(moments.minute_ms(facts.stop.since))
            filled["cause"] = self.pick(staff_words.STOPPED.get(facts.stop.cause, ("", "")))
        if facts.from_ms is not None:
            filled["from"] = times.spoken(facts.from_ms, self.now_ms, self.zone, self.lang)
        if facts.trouble is not None:
            trouble = alarm_words.TROUBLES[facts.trouble]
            filled |= {"device": self.pick(trouble.device), "what": self.pick(trouble.what)}
        return filled

    def told(self, face: Face) -> str:
        """What the visitor was told, in few words: the first line of the large text, the first of the English."""
        sentence = sentence_of(face)
        if self.lang == "en":
            return self.fill(sentence.en.partition(". ")[0].removesuffix("."), face.facts) or words.NO_OTHER_LANE.en
        return self.fill(sentence.zh.split(words.BREAK)[0], face.facts) or words.NO_OTHER_LANE.zh

    def _placed(self, template: str, facts: FaceFacts) -> str:
        """今日 and the lane put right for an earlier use on another day or at another gate."""
        changes: dict[str, str] = {}
        if facts.at_ms is not None and not times.is_today(facts.at_ms, self.now_ms, self.zone):
            changes |= _NOT_TODAY
        if facts.at_ms is not None and facts.at_lane is None:
            changes |= _ELSEWHERE
        for usual, other in changes.items():
            template = template.replace(usual, other)
        return template


def sentence_of(face: Face) -> Sentence:
    """The visitor's sentence of a face, in the variant its facts call for (reasons.md, Variants)."""
    if face.verdict is Reason.MALFORMED and face.facts.card is not None:
        return card_words.VISITOR[face.facts.card]
    if face.verdict is Reason.SUSPENDED and face.facts.by_card and face.facts.stop is not None:
        return words.LOST_CARD if face.facts.stop.cause == StopCause.LOST else words.VISITOR[face.verdict]
    if face.facts.on_trial:
        return words.ON_TRIAL
    if face.facts.enrolling is not None:
        return words.ENROLLING[face.facts.enrolling]
    if face.facts.electronic_card and face.verdict in card_words.ELECTRONIC:
        return card_words.ELECTRONIC[face.verdict]
    return words.USED_UP[face.facts.limit] if face.verdict is Reason.USED_UP else words.VISITOR[face.verdict]
