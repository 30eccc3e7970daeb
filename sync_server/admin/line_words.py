"""The words for a pasted line that was not taken (parties.day_lines)."""

from __future__ import annotations

from flask_babel import gettext, lazy_gettext
from flask_babel import lazy_gettext as _

from sync_server.parties.day_lines import LineFlaw, WrongLine
from wire.calendar import MAX_CAUSE_CHARACTERS, MAX_HOURS, MAX_RANGES

FLAW_WORDS = {
    LineFlaw.NOT_UNDERSTOOD: _("看不懂"),
    LineFlaw.NO_HOURS: _("没有时间，写成 08:00-17:00"),
    LineFlaw.NO_DAY: _("没有日期，写成 2026-10-01 或 周一"),
    LineFlaw.WRONG_TIME: _("没有这个时间"),
    LineFlaw.HOURS_END_FIRST: _("结束早于开始；跨午夜的分两段写：18:00-24:00 和 00:00-02:00"),
    LineFlaw.WRONG_DATE: _("没有这个日期，或不在 2020 至 2051 年"),
    LineFlaw.DAYS_END_FIRST: _("结束日期早于开始日期"),
    LineFlaw.NO_SUCH_WEEKDAY: _("这几天里没有这个星期几"),
    LineFlaw.CAUSE_TOO_LONG: lazy_gettext("原因超过 %(max)d 个字", max=MAX_CAUSE_CHARACTERS),
    LineFlaw.LINE_TOO_LONG: _("这一行太长"),
    LineFlaw.TOO_MANY_HOURS: lazy_gettext("太多了，闸机最多收 %(max)d 段时间", max=MAX_HOURS),
    LineFlaw.TOO_MANY_DAYS: lazy_gettext("太多了，闸机最多收 %(max)d 段日期", max=MAX_RANGES),
    LineFlaw.SEASON_ALONE: _("带日期的时间之外，还要有一行不带日期的平时时间"),
}


def sentence(wrong: WrongLine) -> str:
    """Which line, what stands there, what is wrong with it."""
    flaw = FLAW_WORDS[wrong.flaw]
    return str(gettext("第 %(number)d 行“%(text)s”：%(flaw)s", number=wrong.number, text=wrong.text, flaw=flaw))
