"""On what terms an annual pass is sold: who may buy it, how early it is renewed, what a refund does to its stock."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from sync_server.audit.log import record
from sync_server.catalog.person_lists import is_listed
from sync_server.catalog.tables import product
from sync_server.crypto import Secrets
from sync_server.errors import NotAllowedError
from sync_server.id_numbers import AREA, is_of_area, person_index

MAX_AREAS = 100
MAX_RENEWAL_DAYS = 366
MAX_HOTLINE = 32


@dataclass(frozen=True)
class Terms:
    """`eligibility` ANYONE, AREAS (prefixes of ID numbers) or LIST. Who may not buy is told the `hotline`."""

    eligibility: str = "ANYONE"
    areas: tuple[str, ...] = ()
    person_list_id: UUID | None = None
    hotline: str | None = None
    renewal_days: int = 60
    refund_frees_stock: bool = True


def terms_of(sold: sa.Row[Any]) -> Terms:
    """Those of a product's row."""
    areas = tuple(sold.areas.split(",")) if sold.areas else ()
    return Terms(sold.eligibility, areas, sold.person_list_id, sold.hotline, sold.renewal_days, sold.refund_frees_stock)


def set_terms(connection: Connection, sold: sa.Row[Any], terms: Terms, now_ms: int, actor: str) -> None:
    """Put terms in force for the orders placed from now on."""
    if sold.kind != "PASS":
        raise NotAllowedError(f"product {sold.number} is a {sold.kind}: only annual passes are sold on terms")
    if (terms.eligibility == "AREAS") != bool(terms.areas):
        raise NotAllowedError("areas belong to the eligibility AREAS")
    if not 0 <= terms.renewal_days <= MAX_RENEWAL_DAYS:
        raise NotAllowedError(f"a pass is renewed 0 to {MAX_RENEWAL_DAYS} days before its end")
    if terms.hotline is not None and not (0 < len(terms.hotline) <= MAX_HOTLINE and terms.hotline.isprintable()):
        raise NotAllowedError(f"a hotline has 1 to {MAX_HOTLINE} printable characters")
    values = asdict(terms) | {"areas": joined_areas(terms.areas)}
    connection.execute(product.update().where(product.c.id == sold.id).values(values))
    told = values | {"person_list_id": str(terms.person_list_id or "")}
    record(connection, now_ms, actor, "product.terms", f"product:{sold.id}", told)


def may_buy(connection: Connection, secrets: Secrets, terms: Terms, id_number: str) -> bool:
    """Whether the product is sold to the holder of this ID number."""
    if terms.eligibility == "AREAS":
        return is_of_area(id_number, terms.areas)
    if terms.person_list_id is not None:
        return is_listed(connection, terms.person_list_id, person_index(secrets, id_number))
    return True


def joined_areas(areas: tuple[str, ...]) -> str | None:
    """As tables hold them; NotAllowedError for what is no area."""
    if len(areas) > MAX_AREAS:
        raise NotAllowedError(f"at most {MAX_AREAS} areas can be named")
    for area in areas:
        if not AREA.fullmatch(area):
            raise NotAllowedError(f"{area!r} is no area: an ID number begins with 2 digits, 4 or 6 of its area")
    return ",".join(dict.fromkeys(areas)) or None
