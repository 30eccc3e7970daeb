"""Who did it, in words: operators by name, gates by name, the machine as 系统."""

from __future__ import annotations

from collections.abc import Iterable
from uuid import UUID

import sqlalchemy as sa
from flask_babel import gettext as _
from sqlalchemy.engine import Connection

from sync_server.gates.tables import device
from sync_server.people.tables import operator


def names_of(connection: Connection, actors: Iterable[str]) -> dict[str, str]:
    """What to show for each of these actors, as ledger and event log name them ("operator:<uuid>", "gate:<hex>" …)."""
    wanted = set(actors)
    operators = {UUID(text): actor for actor, text in _of_kind(wanted, "operator")}
    gates = {bytes.fromhex(text): actor for actor, text in _of_kind(wanted, "gate")}
    names = {actor: _("命令行") if actor == "command-line" else _("系统") for actor in wanted}
    names |= {actor: _("未登录的人") for actor in wanted & {"anonymous"}}
    for row in connection.execute(sa.select(operator.c.id, operator.c.name).where(operator.c.id.in_(operators))):
        names[operators[row.id]] = row.name
    for row in connection.execute(sa.select(device.c.id, device.c.name).where(device.c.id.in_(gates))):
        names[gates[row.id]] = row.name
    return names


def _of_kind(actors: set[str], kind: str) -> list[tuple[str, str]]:
    """(actor, what stands behind the colon) of those of this kind."""
    return [(actor, actor.partition(":")[2]) for actor in actors if actor.startswith(f"{kind}:")]
