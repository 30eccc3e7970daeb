"""Promising that somebody will be told: a row in the transaction of what happened, so that both stand or none."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import NamedTuple
from uuid import UUID

from sqlalchemy.engine import Connection

from sync_server.bulk import insert_missing
from sync_server.db import new_id
from sync_server.notices.kinds import KINDS, To, tidy_values
from sync_server.notices.tables import notice

MAX_KEY = 100


class Promise(NamedTuple):
    """One thing to be told. `key` names what happened ("transfer:<id>:failed"): promised again it is not told again.

    `cause` names what it comes of ("venue:<id>"): of many with one cause a recipient is told one in half an hour, and
    then how many there were; without one each stands for itself. `about_id` is the party or the order whose people are
    told, where the kind says so. The variables hold no personal data.
    """

    kind: str
    key: str
    variables: Mapping[str, object]
    about_id: UUID | None = None
    cause: str | None = None


def promise(connection: Connection, now_ms: int, *promises: Promise) -> int:
    """Promise to tell, in the caller's transaction; how many were not promised before.

    ValueError where the variables are not the template's, or nobody is named whom it is about.
    """
    rows = []
    for each in promises:
        to, cause = KINDS[each.kind].to, each.cause or each.key
        if to is To.PHONE or (to is not To.ROLES) != (each.about_id is not None):
            raise ValueError(f"a message {each.kind!r} goes to {to}: about_id is {each.about_id}")
        if max(len(each.key), len(cause)) > MAX_KEY:
            raise ValueError(f"{each.key!r} or {cause!r} has more than {MAX_KEY} characters")
        rows.append(
            {
                "id": new_id(now_ms),
                "kind": each.kind,
                "key": each.key,
                "cause": cause,
                "about_id": each.about_id,
                "variables": json.dumps(tidy_values(each.kind, each.variables), ensure_ascii=False),
                "promised_at_ms": now_ms,
            }
        )
    return insert_missing(connection, notice, rows)
