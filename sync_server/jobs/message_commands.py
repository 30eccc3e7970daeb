"""`sync-server message list | resend | settings`: what was told by short message, once more, and how."""

from __future__ import annotations

import json
from typing import Any
from uuid import UUID

import click
import sqlalchemy as sa

from sync_server.audit.log import COMMAND_LINE
from sync_server.centre import Centre, Opener
from sync_server.db import exclusive
from sync_server.errors import NotFoundError
from sync_server.jobs.messages import ALONE
from sync_server.notices import acts
from sync_server.notices.kinds import KINDS
from sync_server.notices.sender import Outbox
from sync_server.notices.sending import text_of
from sync_server.notices.states import MESSAGE
from sync_server.notices.tables import MESSAGE_STATES, message
from sync_server.people.tables import role

MAX_LISTED = 1_000
UNHEARD_MS = 7 * 86_400_000


@click.group(name="message")
def message_() -> None:
    """Short messages 短信."""


@message_.command(name="list")
@click.option("--state", type=click.Choice(MESSAGE_STATES), help="only those in this state")
@click.option("--kind", type=click.Choice(list(KINDS)), help="only those of this kind")
@click.pass_obj
def list_(opener: Opener, state: str | None, kind: str | None) -> None:
    """The newest messages, one JSON object a line: numbers masked; a sign-in code is shown only if none could leave."""
    centre = opener()
    query = sa.select(message).order_by(message.c.written_at_ms.desc(), message.c.id).limit(MAX_LISTED)
    if state is not None:
        query = query.where(message.c.state == state)
    if kind is not None:
        query = query.where(message.c.kind == kind)
    with centre.read() as connection:
        for row in connection.execute(query):
            click.echo(json.dumps(_line(centre, row), ensure_ascii=False))


@message_.command()
@click.argument("message_id", metavar="ID", type=click.UUID)
@click.option("--reason", required=True, help="for the log of what operators did")
@click.pass_obj
def resend(opener: Opener, message_id: UUID, reason: str) -> None:
    """Send the same once more 重发, whatever became of it; the first one stays as it was."""
    centre = opener()
    with centre.write() as connection:
        exclusive(connection, ALONE)
        again_id = acts.resend(connection, centre.secrets, message_id, reason, COMMAND_LINE, centre.now_ms())
    click.echo(json.dumps({"id": str(again_id), "again": str(message_id)}))


@message_.command()
@click.argument("kind", required=False, type=click.Choice(list(KINDS)))
@click.option("--on/--off", "enabled", default=None, help="whether messages of this kind are sent")
@click.option("--template", "template_code", help="the gateway's code of the registered text")
@click.option("--role", "roles", multiple=True, help="operators who are told, instead of those before; may be repeated")
@click.pass_obj
def settings(
    opener: Opener, kind: str | None, *, enabled: bool | None, template_code: str | None, roles: tuple[str, ...]
) -> None:
    """Change a kind of message; without options print all of them: words, who is told, and who could not be reached."""
    centre = opener()
    changed = enabled is not None or template_code is not None or bool(roles)
    if changed and kind is None:
        raise click.UsageError("name the kind whose settings are to change")
    if changed and kind is not None:
        with centre.write() as connection:
            known = set(connection.scalars(sa.select(role.c.code)))
            if unknown := sorted(set(roles) - known):
                raise NotFoundError(f"there is no role {unknown[0]!r}")
            try:
                acts.change_setting(
                    connection,
                    kind,
                    COMMAND_LINE,
                    centre.now_ms(),
                    enabled=enabled,
                    template_code=template_code,
                    roles=roles or None,
                )
            except ValueError as error:
                raise click.UsageError(str(error)) from error
    with centre.read() as connection:
        kept = acts.settings_of(connection)
        unheard = acts.unheard(connection, centre.now_ms() - UNHEARD_MS)
    for name in KINDS if kind is None else (kind,):
        told = {**kept[name]._asdict(), "zh": KINDS[name].zh, "to": KINDS[name].to, "text": KINDS[name].text}
        click.echo(json.dumps({**told, "unheard_in_7_days": unheard.get(name, 0)}, ensure_ascii=False))


def _line(centre: Centre, row: sa.Row[Any]) -> dict[str, object]:
    shown = not KINDS[row.kind].secret or row.sender == Outbox.name
    return {
        "id": str(row.id),
        "kind": row.kind,
        "kind_zh": KINDS[row.kind].zh,
        "cause": row.cause,
        "phone": row.phone_masked,
        "state": row.state,
        "state_zh": MESSAGE.words[row.state],
        "reason": row.reason,
        "sender": row.sender,
        "tries": row.tries,
        "written_at_ms": row.written_at_ms,
        "again": None if row.again_id is None else str(row.again_id),
        "summary": None if row.summary_id is None else str(row.summary_id),
        "text": _text(centre, row) if shown else None,
    }


def _text(centre: Centre, row: sa.Row[Any]) -> str | None:
    try:
        return text_of(centre.secrets, row)
    except ValueError:  # it does not open any more
        return None


COMMANDS = (message_,)
