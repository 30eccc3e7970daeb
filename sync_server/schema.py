"""All tables of the centre in one place, and bringing a database to them: importing this fills `db.metadata`.

Add one line per folder that has a `tables.py`. A change of the tables rewrites the newest migration until its release
is out: `python -m sync_server.migrations.regenerate`.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Engine

if TYPE_CHECKING:
    from alembic.config import Config

import sync_server.approvals.tables
import sync_server.audit.tables
import sync_server.catalog.tables
import sync_server.electronic_cards.tables
import sync_server.feed.tables
import sync_server.gates.tables
import sync_server.idempotency
import sync_server.issuance.tables
import sync_server.keys.tables
import sync_server.ledger.tables
import sync_server.notices.tables
import sync_server.orders.tables
import sync_server.outbox
import sync_server.parties.tables
import sync_server.payments.tables
import sync_server.people.tables
import sync_server.profit.tables
import sync_server.reconciliation.tables
import sync_server.redemptions.tables
import sync_server.setbacks
import sync_server.settlement.tables
import sync_server.slots
import sync_server.statements.tables  # noqa: F401  importing is the point
from sync_server import db
from sync_server.db import metadata
from sync_server.errors import ConfigurationError

__all__ = ["HEAD", "check_version", "metadata", "migrate"]

HEAD = "0002"  # the newest migration
FILLED = (
    """
    UPDATE "order" SET first_end = (
        SELECT MIN(i.valid_to) FROM order_item i JOIN ticket t ON t.id = i.ticket_id
        WHERE t.order_id = "order".id AND NOT EXISTS (SELECT 1 FROM item_claim c WHERE c.item_id = i.id))
    WHERE state = 'ISSUED' AND kind = 'TICKET' AND first_end IS NULL
    """,
    """
    INSERT INTO product_version (product_id, version, dist_price_fen, changed_at_ms, actor)
    SELECT p.id, p.version, p.dist_price_fen, p.created_at_ms, 'system:catalog' FROM product p
    WHERE NOT EXISTS (SELECT 1 FROM product_version v WHERE v.product_id = p.id)
    """,
    """
    INSERT INTO product_version_price (product_id, version, venue_id, venue_price_fen)
    SELECT p.id, p.version, i.venue_id, i.venue_price_fen FROM product p JOIN product_item i ON i.product_id = p.id
    WHERE NOT EXISTS (SELECT 1 FROM product_version_price v WHERE v.product_id = p.id)
    """,
    "UPDATE payout SET sealed_at_ms = created_at_ms WHERE sealed_at_ms IS NULL",
    """
    INSERT INTO channel (name, name_en, position, open)
    SELECT DISTINCT o.channel, o.channel, 100, FALSE FROM "order" o
    WHERE o.channel NOT IN (SELECT name FROM channel)
    """,
)
"""What new columns hold of rows that an earlier release left; it changes nothing in a database of this one."""
REWORDED = (
    "UPDATE party SET provider = 'ALIPAY' WHERE provider = 'SANDBOX'",
    "DELETE FROM outbox WHERE state = 'DONE'",
)
"""Words of an earlier release that this one does not know: changed before its rules are laid."""
_version = sa.table("alembic_version", sa.column("version_num"))


def migrate(engine: Engine) -> tuple[str | None, str]:
    """Bring the database to the newest tables and write its guards again; the version before and after."""
    from alembic import command  # here and below: it costs every start 0.15 s, and only init needs it

    with db.rebuild(engine) as connection:
        before = _version_of(connection)
        for statement in REWORDED if before not in (None, HEAD) else ():
            connection.exec_driver_sql(statement)
        command.upgrade(alembic_config(connection), "head")
        for statement in FILLED if before != HEAD else ():
            connection.exec_driver_sql(statement)
        db.install_guards(connection)
    return before, HEAD


def check_version(engine: Engine) -> None:
    """A database that is not at the newest tables is a ConfigurationError: nothing runs on it."""
    with db.read(engine) as connection:
        version = _version_of(connection)
    if version != HEAD:
        raise ConfigurationError(
            f"the database is at version {version}, this program needs {HEAD}: run sync-server init"
        )


def alembic_config(connection: Connection) -> Config:
    """Alembic on an open connection, without a configuration file."""
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    config.set_main_option("file_template", "%%(rev)s_%%(slug)s")
    config.attributes["connection"] = connection
    return config


def _version_of(connection: Connection) -> str | None:
    if not sa.inspect(connection).has_table("alembic_version"):
        return None
    version: str | None = connection.scalar(sa.select(_version.c.version_num))
    return version
