"""`sync-server demo-data`: a platform, venues, a distributor, a partner, annual passes and tickets to try it with."""

from __future__ import annotations

import json
import secrets
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import click
import sqlalchemy as sa
from sqlalchemy.engine import Connection

from sync_server.audit import log
from sync_server.catalog import fees, products, publishing, stock
from sync_server.catalog.tables import product
from sync_server.centre import Centre, Opener
from sync_server.errors import NotAllowedError
from sync_server.parties.calendars import set_calendar
from sync_server.parties.day_lines import WrongLine, read_days, read_hours
from sync_server.parties.parties import NewParty, add_party
from sync_server.parties.tables import party, venue
from sync_server.people import operators
from sync_server.people.identifying import Person
from sync_server.people.sessions import permissions_of

ACTOR = "demo-data"
FEE_BPS = 60
PASS_PRICE_FEN = 19_800
PARTIES = (
    NewParty("PLATFORM", "1000", "汴京旅游年票平台", "Bianjing Pass", "platform"),
    NewParty("VENUE", "2001", "汴河虹桥景区", "Rainbow Bridge", "venue-rainbow-bridge"),
    NewParty("VENUE", "2002", "龙亭公园", "Longting Park", "venue-longting"),
    NewParty("DISTRIBUTOR", "3001", "汴京旅行社", "Bianjing Travel", "distributor-bianjing"),
    NewParty("PARTNER", "4001", "汴京文旅", "Bianjing Culture and Tourism", "partner-bianjing"),
)
OPERATORS = (  # organisation, account, name, role
    ("1000", "admin", "管理员", "platform_admin"),
    ("1000", "operations", "运营", "operations"),
    ("1000", "finance", "财务", "finance"),
    ("1000", "cashier", "出纳", "finance"),  # the second person of finance's acts
    ("1000", "auditor", "审计员", "auditor"),
    ("1000", "review", "复核", "operations"),
    ("2001", "bridge", "虹桥景区", "venue_manager"),
    ("2002", "longting", "龙亭公园", "venue_manager"),
)


def add_demo_data(centre: Centre) -> dict[str, Any]:
    """Add it all to an empty centre. Gives organisations, venues, products and, once, the operators' passwords."""
    now_ms = centre.now_ms()
    with centre.write() as connection:
        if connection.scalar(sa.select(sa.func.count()).select_from(party)):
            raise NotAllowedError("the centre has parties already: demo data is for an empty one")
        ids = {new.org_number: add_party(connection, new, centre.settings.zone, now_ms) for new in PARTIES}
        sold = {}
        for name, new, total in _products(ids["2001"], ids["2002"]):
            product_id = products.add_product(connection, new, now_ms)
            stock.add_stock(connection, product_id, new.dist_price_fen, total, now_ms)
            number = connection.scalar(sa.select(product.c.number).where(product.c.id == product_id))
            sold[name] = {"id": str(product_id), "number": number, "price_fen": new.dist_price_fen}
        fees.add_fee_rule(connection, "CHARGE", ids["3001"], FEE_BPS, now_ms)
        for org_number in ("2001", "2002"):
            fees.add_fee_rule(connection, "PAYOUT", ids[org_number], FEE_BPS, now_ms)
        _set_hours(connection, ids["2002"], now_ms)
        numbers = {row.id: row.number for row in connection.execute(sa.select(venue.c.id, venue.c.number))}
        log.record(connection, now_ms, ACTOR, "demo-data", "centre", {"parties": len(PARTIES)})
    passwords, people = {}, {}
    for organisation, account, name, role in OPERATORS:
        passwords[account] = secrets.token_urlsafe(9)
        people[account] = operators.add_operator(centre, organisation, account, name, role, passwords[account], ACTOR)
    sold["combo_ticket"] = _add_combo(centre, people, ids["2001"], ids["2002"])
    return {
        "parties": [
            {
                "id": str(ids[each.org_number]),
                "kind": each.kind,
                "org_number": each.org_number,
                "name_zh": each.name_zh,
                "provider_account": each.account_ref,
                "venue_number": numbers.get(ids[each.org_number]),
            }
            for each in PARTIES
        ],
        "products": sold,
        "operators": [
            {"organisation": organisation, "account": account, "role": role, "password": passwords[account]}
            for organisation, account, _, role in OPERATORS
        ],
    }


def _set_hours(connection: Connection, longting: UUID, now_ms: int) -> None:
    """A park with summer and winter hours and a closed day; the other venue is always open, for the demo's gate."""
    today = datetime.fromtimestamp(now_ms / 1000, UTC).date()
    winter = f"08:00-17:30 {today.year}-11-01 至 {today.year + 1}-03-31"
    hours = read_hours(f"07:00-19:00\n{winter}")
    days = read_days(f"{(today + timedelta(days=30)).isoformat()} 年度检修")
    assert not isinstance(hours, WrongLine), "written above"
    assert not isinstance(days, WrongLine), "written above"
    set_calendar(connection, longting, now_ms, ACTOR, hours=hours, closed_days=days)


def _products(bridge: UUID, longting: UUID) -> list[tuple[str, products.NewProduct, int]]:
    """Name in the output, product, stock. One pass may enter at once so that the demo need not wait a day."""
    annual = products.NewProduct(
        kind="PASS",
        name_zh="汴京旅游年票",
        name_en="Bianjing annual pass",
        dist_price_fen=PASS_PRICE_FEN,
        venue_prices_fen={bridge: 0, longting: 0},
        validity_days=365,
        per_day=3,
        holder_required=True,
    )
    delayed = replace(
        annual,
        name_zh="汴京旅游年票（24小时后可用）",
        name_en="Bianjing annual pass, usable after 24 hours",
        activation_delay_h=24,
    )
    single = products.NewProduct(
        kind="SINGLE",
        name_zh="汴河虹桥景区单票",
        name_en="Rainbow Bridge ticket",
        dist_price_fen=5_200,
        venue_prices_fen={bridge: 5_000},
        validity_days=7,
        total=1,
    )
    return [("annual_pass", annual, 10_000), ("annual_pass_24h", delayed, 10_000), ("single_ticket", single, 1_000)]


def _add_combo(centre: Centre, people: Mapping[str, UUID], bridge: UUID, longting: UUID) -> dict[str, Any]:
    """A combo of both venues, put on sale by the people who do it elsewhere."""
    new = products.NewProduct(
        kind="COMBO",
        name_zh="虹桥龙亭联票",
        name_en="Rainbow Bridge and Longting combo",
        dist_price_fen=8_800,
        venue_prices_fen={bridge: 5_000, longting: 3_000},
        validity_days=30,
        total=1,
    )
    now_ms = centre.now_ms()
    with centre.write() as connection:
        who = {account: Person(people[account], permissions_of(connection, role)) for _, account, _, role in OPERATORS}
        number = publishing.draft(connection, who["operations"], new, now_ms)
        for account, venue_id in (("bridge", bridge), ("longting", longting)):
            publishing.agree(connection, who[account], number, new.venue_prices_fen[venue_id], now_ms)
        publishing.submit(connection, who["operations"], number, now_ms)
        publishing.approve(connection, who["review"], number, now_ms)
        product_id = products.find_product(connection, number).id
        stock.add_stock(connection, product_id, new.dist_price_fen, 1_000, now_ms)
    return {"id": str(product_id), "number": number, "price_fen": new.dist_price_fen}


@click.command(name="demo-data")
@click.pass_obj
def demo_data(opener: Opener) -> None:
    """Fill an empty centre with a platform, venues, products and operators; prints their ids and passwords as JSON."""
    click.echo(json.dumps(add_demo_data(opener()), ensure_ascii=False))


COMMANDS = (demo_data,)
