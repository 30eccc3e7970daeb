"""How figures, times and numbers are written on the pages (look/admin/guide.md §7)."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

from flask import current_app
from flask_babel import gettext as _
from flask_babel import ngettext
from markupsafe import Markup

from sync_server.admin.language import named
from sync_server.admin.words import choices
from sync_server.centre import Centre
from wire.moments import minute_ms

MINUS = "\N{MINUS SIGN}"
HOUR_MS = 3_600_000


def centre() -> Centre:
    """The centre this application runs."""
    found: Centre = current_app.extensions["centre"]
    return found


def zone() -> ZoneInfo:
    """The city's."""
    return ZoneInfo(centre().settings.zone)


def local(ms: int) -> datetime:
    return datetime.fromtimestamp(ms / 1000, UTC).astimezone(zone())


def money(amount_fen: int, signed: bool = False) -> str:
    """¥1,234.56; minus is −¥198.00; a plus only in columns of receipts and payments (`signed`)."""
    whole, cents = divmod(abs(amount_fen), 100)
    sign = MINUS if amount_fen < 0 else "+" if signed and amount_fen else ""
    return f"{sign}¥{whole:,}.{cents:02d}"


def when(ms: int | None, style: str = "list") -> Markup:
    """A `<time>`: list 11-21 14:31 (another year's with it), full 2026-11-21 14:31, time 14:31, exact with seconds."""
    if ms is None:
        return Markup("–")
    moment = local(ms)
    this_year = moment.year == local(centre().now_ms()).year
    formats = {"list": "%m-%d %H:%M" if this_year else "%Y-%m-%d %H:%M", "full": "%Y-%m-%d %H:%M", "time": "%H:%M"}
    text = moment.strftime(formats.get(style, "%Y-%m-%d %H:%M:%S"))
    exact = moment.isoformat(sep=" ", timespec="seconds")
    return Markup('<time datetime="{}" title="{}">{}</time>').format(moment.isoformat(timespec="seconds"), exact, text)


def until(ms: int, day_only: bool = False) -> Markup:
    """The end of a half-open span; midnight is written as 24:00 of the day before."""
    moment = local(ms)
    if (moment.hour, moment.minute, moment.second) != (0, 0, 0):
        return when(ms, "full")
    text = local(ms - 1).strftime("%Y-%m-%d") + ("" if day_only else " 24:00")
    return Markup('<time datetime="{}">{}</time>').format(moment.isoformat(timespec="seconds"), text)


def since(ms: int) -> str:
    """How long ago, for what waits: 5 分钟, 26 小时, 3 天."""
    minutes = max(0, (centre().now_ms() - ms) // 60_000)
    if minutes < 60:
        return str(ngettext("%(num)d 分钟", "%(num)d 分钟", int(minutes)))
    if minutes < 48 * 60:
        return str(ngettext("%(num)d 小时", "%(num)d 小时", int(minutes // 60)))
    return str(ngettext("%(num)d 天", "%(num)d 天", int(minutes // 1440)))


def day_heading() -> str:
    """The heading of the dashboard: 11月21日 星期六."""
    moment = local(centre().now_ms())
    weekdays = (_("星期一"), _("星期二"), _("星期三"), _("星期四"), _("星期五"), _("星期六"), _("星期日"))
    weekday = weekdays[moment.weekday()]
    return str(_("%(month)d月%(day)d日 %(weekday)s", month=moment.month, day=moment.day, weekday=weekday))


def day_start_ms(ms: int) -> int:
    """When the local day of a moment began."""
    return int(local(ms).replace(hour=0, minute=0, second=0, microsecond=0).timestamp() * 1000)


def grouped(number: str) -> str:
    """A pass number in groups of four."""
    return " ".join(number[i : i + 4] for i in range(0, len(number), 4))


FILTERS: dict[str, Any] = {
    "money": money,
    "when": when,
    "until": until,
    "since": since,
    "grouped": grouped,
    "minute": minute_ms,
}
GLOBALS: dict[str, Any] = {"named": named, "day_heading": day_heading, "choices": choices}
