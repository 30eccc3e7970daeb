"""`sync-server reconcile | provider-fee | recon-case …`: the provider's statements, and who settles what differs."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import date, datetime
from pathlib import Path
from typing import Any
from uuid import UUID

import click
import sqlalchemy as sa

from sync_server.arguments import DAY, FEN_OR_ZERO, FILE
from sync_server.audit.log import COMMAND_LINE, record
from sync_server.bulk import insert_missing
from sync_server.centre import Centre, Opener
from sync_server.errors import NotAllowedError
from sync_server.money import bounds_flaw
from sync_server.parties.tables import PROVIDERS
from sync_server.payments.provider import StatementLine, Unclear
from sync_server.payments.providers import clients_of
from sync_server.payments.tables import TRANSFER_KINDS
from sync_server.people.asking import by_operator, person_of
from sync_server.people.permissions import Permission, need
from sync_server.people.tables import operator
from sync_server.reconciliation import accepting, other_amounts, recon_cases, reconciling, statements_in, undoing
from sync_server.reconciliation.case_states import CASE
from sync_server.reconciliation.differences import BY_ATTEMPT, WORDS, Difference
from sync_server.reconciliation.statement_files import read_file
from sync_server.reconciliation.tables import CASE_STATES, provider_fee, recon_case, statement_day, statement_line

MAX_LISTED = 1_000
LINE_TOLD = ("day", "at_ms", "kind", "amount_fen", "fee_fen", "out_no", "provider_ref")
"""Of the provider's line that a case is about: what the provider shows of it, too."""


@click.command()
@click.option("--provider", type=click.Choice(PROVIDERS), required=True)
@click.option("--day", type=DAY, required=True, help="in the provider's calendar")
@click.option(
    "--file", type=FILE, help="a downloaded statement: JSON lines, or Alipay's bill of the account (账务明细)"
)
@click.option(
    "--trades", type=FILE, help="beside Alipay's bill of the account: that day's bill of the trades (业务明细)"
)
@click.pass_obj
def reconcile(opener: Opener, provider: str, day: datetime, file: Path | None, trades: Path | None) -> None:
    """Take a day's statement of the provider in and judge it. Again: nothing happens twice."""
    centre = opener()
    if file is None and trades is not None:
        raise click.UsageError("--trades goes with --file, Alipay's bill of the account")
    lines = _asked_for(centre, provider, day.date()) if file is None else read_file(provider, day.date(), file, trades)
    with centre.write() as connection:
        taken = statements_in.take_in(connection, provider, day.date(), lines, centre.now_ms())
        detail = {"lines": len(lines), **taken._asdict()}
        record(connection, centre.now_ms(), COMMAND_LINE, "statement.taken_in", f"{provider}:{day.date()}", detail)
    while reconciling.reconcile(centre):
        pass
    click.echo(json.dumps({**detail, **_summary(centre, provider, day.date())}))


def _asked_for(centre: Centre, provider: str, day: date) -> Sequence[StatementLine]:
    """The day's statement from the provider itself."""
    with clients_of(centre) as clients:
        client = clients.get(provider)
        lines = Unclear("the settings name no such provider") if client is None else client.statement(day)
    if isinstance(lines, Unclear):
        raise NotAllowedError(f"{provider} gives no statement of {day}: {lines.reason}")
    return lines


def _summary(centre: Centre, provider: str, day: date) -> dict[str, Any]:
    """How a day stands: judged, waiting, whether it has ended, its cases by what differs."""
    mine = sa.and_(statement_line.c.provider == provider, statement_line.c.day == str(day))
    of_line = sa.and_(
        statement_line.c.provider == recon_case.c.provider, statement_line.c.line_no == recon_case.c.line_no
    )
    with centre.read() as connection:
        counted = sa.select(sa.func.count(), sa.func.count(statement_line.c.settled_at_ms)).where(mine)
        lines, judged = connection.execute(counted).one()
        cases = (
            sa.select(recon_case.c.difference, sa.func.count())
            .join(statement_line, of_line)
            .where(mine)
            .group_by(recon_case.c.difference)
        )
        differences = {row[0]: row[1] for row in connection.execute(cases)}
        this = sa.and_(statement_day.c.provider == provider, statement_day.c.day == str(day))
        ended_at_ms = connection.scalar(sa.select(statement_day.c.ended_at_ms).where(this))
    return {"judged": judged, "waiting": lines - judged, "ended": ended_at_ms is not None, "cases": differences}


@click.group(name="provider-fee")
def provider_fees() -> None:
    """What was agreed with the providers about their fees."""


@provider_fees.command(name="list")
@click.pass_obj
def list_fees(opener: Opener) -> None:
    """One JSON line per rate, the newest of a provider and kind last: it is in force."""
    rates = sa.select(provider_fee).order_by(provider_fee.c.provider, provider_fee.c.kind, provider_fee.c.valid_from_ms)
    with opener().read() as connection:
        for row in connection.execute(rates):
            click.echo(json.dumps(dict(row._mapping)))


@provider_fees.command(name="add")
@click.option("--provider", type=click.Choice(PROVIDERS), required=True)
@click.option("--kind", type=click.Choice(TRANSFER_KINDS), required=True)
@click.option("--bps", type=click.IntRange(0, 10_000), required=True, help="basis points of the amount; 0: no fee")
@click.option("--min-fen", type=FEN_OR_ZERO, default=0)
@click.option("--max-fen", type=FEN_OR_ZERO)
@by_operator
@click.pass_obj
def fee(opener: Opener, /, provider: str, kind: str, bps: int, min_fen: int, max_fen: int | None, **who: Any) -> None:
    """Say what was agreed with a provider, from now on; statements with another fee are told."""
    centre = opener()
    person = person_of(centre, who)
    need(person, Permission.RECON_WORK)
    if (flaw := bounds_flaw(min_fen, max_fen)) is not None:
        raise NotAllowedError(flaw)
    now_ms = centre.now_ms()
    rule = {"provider": provider, "kind": kind, "bps": bps, "min_fen": min_fen, "max_fen": max_fen}
    with centre.write() as connection:
        if not insert_missing(connection, provider_fee, [{**rule, "valid_from_ms": now_ms}]):
            raise NotAllowedError("another rate was set at this very moment: look at provider-fee list")
        record(connection, now_ms, person.actor, "provider.fee", f"provider:{provider}", rule)
    click.echo(json.dumps({**rule, "valid_from_ms": now_ms}))


@click.group(name="recon-case")
def case() -> None:
    """Differences between our book and the provider's statements 对账差异."""


@case.command(name="list")
@click.option("--state", type=click.Choice(CASE_STATES), help="only those in this state; else all open ones")
@click.pass_obj
def list_(opener: Opener, state: str | None) -> None:
    """The oldest cases, one JSON object a line, with the provider's line that a case is about."""
    wanted = recon_case.c.state != "RESOLVED" if state is None else recon_case.c.state == state
    this_line = sa.and_(
        statement_line.c.provider == recon_case.c.provider, statement_line.c.line_no == recon_case.c.line_no
    )
    of_line = [statement_line.c[name].label(f"line_{name}") for name in LINE_TOLD]
    query = (
        sa.select(recon_case, operator.c.name.label("owner"), *of_line)
        .outerjoin(operator, operator.c.id == recon_case.c.owner_id)
        .outerjoin(statement_line, this_line)
        .where(wanted)
        .order_by(recon_case.c.opened_at_ms, recon_case.c.id)
        .limit(MAX_LISTED)
    )
    with opener().read() as connection:
        for row in connection.execute(query):
            words = WORDS[Difference(row.difference)]
            line = {
                "id": str(row.id),
                "difference": row.difference,
                "difference_zh": words.chinese,
                "provider": row.provider,
                "subject": row.subject,
                "amount_fen": row.amount_fen,
                "in_suspense": row.in_suspense,
                "state": row.state,
                "state_zh": CASE.words[row.state],
                "owner": row.owner,
                "settled_as": row.settled_as,
                "note": row.note,
                "opened_at_ms": row.opened_at_ms,
                "line": None if row.line_day is None else {name: row._mapping[f"line_{name}"] for name in LINE_TOLD},
            }
            if row.settled_as == "OFFSET" and row.difference in BY_ATTEMPT:
                line["next"] = recon_cases.owed_again(connection, [row.subject])
            click.echo(json.dumps(line, ensure_ascii=False))


CASE_ID = click.argument("case_id", metavar="CASE", type=click.UUID)
NOTE = click.option("--note", required=True, help="what was found out")


@case.command()
@CASE_ID
@click.option("--to", "colleague", required=True, help="an account (帐号) of your organisation")
@by_operator
@click.pass_obj
def assign(opener: Opener, /, case_id: UUID, colleague: str, **who: Any) -> None:
    """Give a case to somebody."""
    centre = opener()
    person = person_of(centre, who)
    with centre.write() as connection:
        recon_cases.assign(connection, person, case_id, colleague, centre.now_ms())
    click.echo(json.dumps({"case": str(case_id), "state": "ASSIGNED", "owner": colleague}))


@case.command()
@CASE_ID
@NOTE
@by_operator
@click.pass_obj
def explain(opener: Opener, /, case_id: UUID, note: str, **who: Any) -> None:
    """Close a case in which no money is unexplained."""
    centre = opener()
    person = person_of(centre, who)
    with centre.write() as connection:
        recon_cases.explain(connection, person, case_id, note, centre.now_ms())
    _resolved(case_id)


@case.command()
@CASE_ID
@click.argument("other_id", metavar="OTHER", type=click.UUID)
@NOTE
@by_operator
@click.pass_obj
def offset(opener: Opener, /, case_id: UUID, other_id: UUID, note: str, **who: Any) -> None:
    """Close two cases whose amounts are each other's opposite: what came too much went back.

    What had moved of a transfer that was given up, and came back, is owed as before: `next` says by which command.
    """
    centre = opener()
    person = person_of(centre, who)
    with centre.write() as connection:
        owed_again = recon_cases.offset(connection, person, case_id, other_id, note, centre.now_ms())
    _resolved(case_id, other_id, next_commands=owed_again)


@case.command(name="write-off")
@CASE_ID
@click.option(
    "--against",
    type=click.Choice(
        (*recon_cases.WRITE_OFF_TO, recon_cases.VENUE_OWES, recon_cases.GIVEN_BACK, recon_cases.NO_MOVEMENT)
    ),
    default="5090",
    show_default=True,
)
@click.option("--reason", required=True, help="what the other person and the log of operators are told")
@by_operator
@click.pass_obj
def write_off(opener: Opener, /, case_id: UUID, against: str, reason: str, **who: Any) -> None:
    """Ask that what is unexplained is booked as a loss (5090), a provider's fee (5010) or our own bank's (1030).

    What somebody paid beside what counts goes back to them through its provider (REFUND).
    What a payout moved twice its venue may owe (1220): its next payouts are less. A second line of a number that is no
    movement at all (DOUBLE_LINE) is taken back (CLEARING).
    """
    centre = opener()
    person = person_of(centre, who)
    with centre.write() as connection:
        request_id = recon_cases.ask_write_off(connection, person, case_id, against, reason, centre.now_ms())
    click.echo(json.dumps({"request": str(request_id), "state": "requested", "case": str(case_id)}))


@case.command()
@CASE_ID
@click.option("--reason", required=True, help="what the other person and the log of operators are told")
@by_operator
@click.pass_obj
def accept(opener: Opener, /, case_id: UUID, reason: str, **who: Any) -> None:
    """Ask that what moved after its transfer was given up counts as that transfer's success."""
    centre = opener()
    person = person_of(centre, who)
    with centre.write() as connection:
        request_id = accepting.ask(connection, person, case_id, reason, centre.now_ms())
    click.echo(json.dumps({"request": str(request_id), "state": "requested", "case": str(case_id)}))


@case.command(name="other-amount")
@CASE_ID
@click.option("--as", "outcome", type=click.Choice(("done", "given-up")), required=True, help="what its transfer is")
@click.option("--reason", required=True, help="what the other person and the log of operators are told")
@by_operator
@click.pass_obj
def other_amount(opener: Opener, /, case_id: UUID, outcome: other_amounts.Outcome, reason: str, **who: Any) -> None:
    """Ask that a transfer of which the provider moved another amount is done, or given up. Another person confirms.

    Done: what differs stays with the case. Given up: what moved is a case of its own; an unpaid order is cancelled.
    """
    centre = opener()
    person = person_of(centre, who)
    with centre.write() as connection:
        request_id = other_amounts.ask(connection, person, case_id, outcome, reason, centre.now_ms())
    click.echo(json.dumps({"request": str(request_id), "state": "requested", "case": str(case_id)}))


@case.command()
@CASE_ID
@click.argument("transfer_id", metavar="TRANSFER", type=click.UUID)
@click.option("--reason", required=True, help="what the other person and the log of operators are told")
@by_operator
@click.pass_obj
def undo(opener: Opener, /, case_id: UUID, transfer_id: UUID, reason: str, **who: Any) -> None:
    """Ask that a payout or refund that was made is owed again. Another person confirms.

    CASE is the line by which it came back, less what a bank kept, or that no statement has it (MISSING_THERE).
    """
    centre = opener()
    person = person_of(centre, who)
    with centre.write() as connection:
        request_id = undoing.ask(connection, person, case_id, transfer_id, reason, centre.now_ms())
    click.echo(json.dumps({"request": str(request_id), "state": "requested", "case": str(case_id)}))


def _resolved(*case_ids: UUID, next_commands: Sequence[str] = ()) -> None:
    for case_id in case_ids:
        line: dict[str, Any] = {"case": str(case_id), "state": "RESOLVED"}
        click.echo(json.dumps(line | ({"next": next_commands} if next_commands else {})))


COMMANDS = (reconcile, provider_fees, case)
