"""All tables of the centre in one place: importing this fills `db.metadata` (migrations, checks, tests).

Add one line per folder that has a `tables.py`, in the order of the folders.
"""

from __future__ import annotations

import sync_server.audit.tables
import sync_server.catalog.tables
import sync_server.feed.tables
import sync_server.gates.tables
import sync_server.idempotency
import sync_server.issuance.tables
import sync_server.keys.tables
import sync_server.ledger.tables
import sync_server.orders.tables
import sync_server.outbox
import sync_server.parties.tables
import sync_server.payments.tables
import sync_server.people.tables
import sync_server.redemptions.tables
import sync_server.settlement.tables  # noqa: F401  importing is the point
from sync_server.db import metadata

__all__ = ["metadata"]
