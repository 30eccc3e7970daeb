"""`sync-server gate journals | retire | unfreeze`: how the gates' journals stand, and what two persons do about it."""

from __future__ import annotations

import json
from typing import Any

import click

from sync_server.approvals.approvals import Act
from sync_server.centre import Opener
from sync_server.gates import journal_acts, registry
from sync_server.gates.journal_acts import RETIRE, UNFREEZE
from sync_server.gates.journals import NOT_BEGUN
from sync_server.gates.watermarks import watermarks
from sync_server.people.asking import by_operator, person_of


@click.command()
@click.option("--stale", is_flag=True, help="only those that money waits for, and that were not heard of for 24 h")
@click.pass_obj
def journals(opener: Opener, *, stale: bool) -> None:
    """One JSON line per journal: how far it is complete, up to when, and the money that waits for it."""
    centre = opener()
    with centre.read() as connection:
        for one in watermarks(connection, centre.now_ms()):
            if one.stale or not stale:
                told = {
                    name: value.hex() if isinstance(value, bytes) else value for name, value in one._asdict().items()
                }
                click.echo(json.dumps(told, ensure_ascii=False))


@click.command()
@click.argument("gate_id", metavar="ID")
@click.argument("journal", default="")
@click.option("--reason", required=True, help="what the other person and the log of operators are told")
@by_operator
@click.pass_obj
def retire(opener: Opener, /, gate_id: str, journal: str, reason: str, **who: Any) -> None:
    """Ask that nobody waits any more for a journal of a gate that is lost. Another person confirms.

    Leave JOURNAL out for a gate that was approved and never sent anything.
    """
    _ask(opener, RETIRE, gate_id, journal, reason, who)


@click.command()
@click.argument("gate_id", metavar="ID")
@click.argument("journal")
@click.option("--reason", required=True, help="what the other person and the log of operators are told")
@by_operator
@click.pass_obj
def unfreeze(opener: Opener, /, gate_id: str, journal: str, reason: str, **who: Any) -> None:
    """Ask that a frozen journal is settled again. Another person confirms."""
    _ask(opener, UNFREEZE, gate_id, journal, reason, who)


def _ask(opener: Opener, act: Act, gate_id: str, journal: str, reason: str, who: dict[str, Any]) -> None:
    centre = opener()
    person = person_of(centre, who)
    with centre.write() as connection:
        device_id = registry.device_named(connection, gate_id)
        name = journal_acts.journal_named(connection, device_id, journal) if journal else NOT_BEGUN
        request_id = journal_acts.ask(connection, person, act, device_id, name, reason, centre.now_ms())
    click.echo(json.dumps({"request": str(request_id), "state": "requested", "act": act.name, "journal": name.hex()}))


COMMANDS = (journals, retire, unfreeze)
"""Of the group `gate`."""
