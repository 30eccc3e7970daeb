"""The menu at the left: the groups of web.md in their order, of which a role sees what it may open."""

from __future__ import annotations

from typing import NamedTuple

from flask_babel import lazy_gettext as _

from sync_server.people.permissions import Permission
from sync_server.people.sessions import SignedIn


class Entry(NamedTuple):
    """One page; `label` heads the entries that follow it within the group."""

    word: str
    endpoint: str
    needs: Permission
    label: str | None = None


class Group(NamedTuple):
    """A group that opens and closes."""

    word: str
    icon: str
    entries: tuple[Entry, ...]


GROUPS = (
    Group(
        _("公共服务"),
        "globe",
        (
            Entry(_("年票订单管理"), "admin.pass_orders", Permission.ORDERS_VIEW, _("年票")),
            Entry(_("年票库存管理"), "admin.stock_rows", Permission.STOCK_VIEW, _("年票")),
            Entry(_("出票记录"), "admin.issued_passes", Permission.PASSES_VIEW, _("年票")),
        ),
    ),
    Group(
        _("票务"),
        "ticket",
        (
            Entry(_("门票订单"), "admin.ticket_orders", Permission.ORDERS_VIEW),
            Entry(_("产品"), "admin.products", Permission.PRODUCTS_VIEW),
            Entry(_("日历"), "admin.venue_calendars", Permission.CALENDARS_VIEW),
        ),
    ),
    Group(
        _("结算"),
        "yuan",
        (
            Entry(_("打款"), "admin.payouts", Permission.SETTLEMENT_VIEW),
            Entry(_("记账分录"), "admin.postings", Permission.LEDGER_VIEW),
        ),
    ),
    Group(
        _("闸机"),
        "gate",
        (
            Entry(_("闸机列表"), "admin.gates", Permission.GATES_VIEW),
            Entry(_("入园记录"), "admin.entries", Permission.ENTRIES_VIEW),
        ),
    ),
    Group(
        _("系统"),
        "gear",
        (
            Entry(_("用户"), "admin.users", Permission.USERS_MANAGE),
            Entry(_("审计日志"), "admin.audit_log", Permission.AUDIT_VIEW),
        ),
    ),
)


def menu_of(operator: SignedIn) -> tuple[Group, ...]:
    """The groups with what this operator may open; groups without any are left out."""
    cut = (group._replace(entries=tuple(e for e in group.entries if operator.may(e.needs))) for group in GROUPS)
    return tuple(group for group in cut if group.entries)


def place_of(endpoint: str) -> tuple[Group, Entry] | None:
    """Where a page stands in the menu, for the line at the top that says where one is."""
    return next(((group, entry) for group in GROUPS for entry in group.entries if entry.endpoint == endpoint), None)
