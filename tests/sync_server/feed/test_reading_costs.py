"""What the lists read grows with what changed: no step reads or sorts all passes of a venue to find a few."""

from __future__ import annotations

from typing import Any

import pytest
import sqlalchemy as sa

from sync_server.centre import Centre
from sync_server.feed import contents, publishing
from sync_server.feed.publishing import publish_feeds
from sync_server.issuance.passes import change_status
from tests.sync_server.feed.fetching import compact
from tests.sync_server.town import build_town

LARGE = ("entitlement", "pass", "pass_use", "holder", "credential", "holder_key", "feed_segment")


def test_no_list_is_found_by_reading_or_sorting_everything(centre: Centre, monkeypatch: pytest.MonkeyPatch) -> None:
    town = build_town(centre)
    sold = town.sell("single", 5)
    said: dict[str, Any] = {}

    def note(_c: object, _cursor: object, statement: str, parameters: Any, _context: object, _many: bool) -> None:
        if statement.startswith(("SELECT", "UPDATE")):
            said[statement] = parameters

    monkeypatch.setattr(contents, "PASSES_PER_SEGMENT", 2)
    monkeypatch.setattr(publishing, "MAX_DELTAS", 1)
    sa.event.listen(centre.engine, "before_cursor_execute", note)
    publish_feeds(centre)
    for one in sold:
        with centre.write() as connection:
            change_status(connection, one.number, "suspend", "lost", town.clock.now_ms, "test")
        publish_feeds(centre)
    compact(town)
    sa.event.remove(centre.engine, "before_cursor_execute", note)
    assert sum("entitlement" in statement for statement in said) >= 4
    with centre.read() as connection:
        for statement, parameters in said.items():
            plan = [row[-1] for row in connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", parameters)]
            whole = [step for step in plan for table in LARGE if step in (f"SCAN {table}", f'SCAN "{table}"')]
            assert not whole, f"{statement} reads all of it: {plan}"
            if "entitlement" in statement or "pass_use" in statement:
                assert not [step for step in plan if "ORDER BY" in step], f"{statement} sorts all of it: {plan}"
