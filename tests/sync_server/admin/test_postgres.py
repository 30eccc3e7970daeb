"""Every page on PostgreSQL: the same words and figures as on SQLite."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import sqlalchemy as sa
from flask.testing import FlaskClient

from sync_server.create_app import app_of
from sync_server.crypto import Secrets
from sync_server.issuance.tables import issued_pass
from sync_server.orders.tables import order, ticket
from sync_server.people.sessions import open_session
from sync_server.people.tables import operator
from sync_server.settlement.tables import payout
from tests.sync_server.admin.conftest import SignedInAs
from tests.sync_server.admin.town import Town, build
from tests.sync_server.conftest import Clock, centre_at

pytestmark = pytest.mark.postgres

PATHS = {
    "zhoumin": (
        "/admin/",
        "/admin/orders?state=ISSUED&from=2026-11-01",
        "/admin/orders?phone=" + "00" * 16,
        "/admin/ticket-orders",
        "/admin/orders/{pass_order}",
        "/admin/orders/{ticket_order}",
        "/admin/stock",
        "/admin/passes?state=ACTIVE",
        "/admin/passes/{pass}",
        "/admin/entries?venue=1",
        "/admin/entries?state=CONFLICT",
        "/admin/gates",
        "/admin/gates/" + "01" * 16,
        "/admin/payouts",
        "/admin/payouts?tab=paid",
    ),
    "qianwen": ("/admin/ledger", "/admin/ledger?code=2210", "/admin/payouts/{payout}"),
    "xulan": ("/admin/users",),
    "shenji": ("/admin/audit",),
}
# Which of several tickets was paid first, and so what stands on the first page, is chance.
OPENED_ONLY = ("/admin/ledger", "/admin/orders/{ticket_order}")


def figures(page: str) -> list[str]:
    """Everything on a page that is not made of chance: states, money, counts."""
    return re.findall(r'data-state="\w+"|−?¥[\d,.]+\d\d|class="[nv]"[^<]*<|(?<=>)\d{1,4}(?=<)', page)


def browse(town: Town, browser_as: SignedInAs) -> dict[str, list[str]]:
    with town.centre.read() as connection:
        names = {"pass_order": town.pass_orders[0], "ticket_order": town.ticket_orders[1]}
        bought = issued_pass.join(ticket, ticket.c.id == issued_pass.c.ticket_id).join(order)
        number = sa.select(issued_pass.c.number).select_from(bought).where(order.c.number == town.pass_orders[0])
        names["pass"] = connection.scalars(number).one()
        names["payout"] = connection.scalars(sa.select(payout.c.number).where(payout.c.state == "PAID")).first() or ""
    found = {}
    for account, paths in PATHS.items():
        browser = browser_as(account)
        for path in paths:
            response = browser.get(path.format(**names))
            assert response.status_code == 200, path
            if path not in OPENED_ONLY:
                found[path] = sorted(figures(response.text))
    return found


def test_every_page_shows_the_same_on_both_databases(
    town: Town, signed_in_as: SignedInAs, postgres_copy: str, tmp_path: Path, secrets: Secrets
) -> None:
    clock = Clock()
    other = build(centre_at(postgres_copy, tmp_path, secrets, clock), clock)
    app = app_of(other.centre)
    app.testing = True

    def open_browser(account: str) -> FlaskClient:
        with other.centre.write() as connection:
            operator_id = connection.scalars(sa.select(operator.c.id).where(operator.c.account == account)).one()
            token = open_session(connection, operator_id, "127.0.0.1", clock.now_ms)
        browser = app.test_client()
        with browser.session_transaction() as session:
            session["_user_id"] = token
        return browser

    try:
        assert browse(other, open_browser) == browse(town, signed_in_as)
    finally:
        other.centre.engine.dispose()
