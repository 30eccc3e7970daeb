"""`sync-server check`: every invariant of every folder, the guards and the event log, on the live database."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import click
from sqlalchemy.engine import Connection

import sync_server.catalog.checks
import sync_server.issuance.checks
import sync_server.ledger.checks
import sync_server.ledger.posting_checks
import sync_server.orders.checks
import sync_server.payments.checks
import sync_server.reconciliation.checks
import sync_server.redemptions.checks
import sync_server.redemptions.rival_checks
import sync_server.settlement.balance_checks
import sync_server.settlement.checks
import sync_server.settlement.ending_checks
import sync_server.settlement.visit_checks
from sync_server import db
from sync_server.audit.log import first_flaw
from sync_server.centre import Centre, Opener
from sync_server.errors import EXIT_CHECK_FAILED
from sync_server.invariants import Invariant, broken
from sync_server.keys.outlook import warnings
from sync_server.settlement.ending_proofs import contradicted

INVARIANTS: tuple[Invariant, ...] = (
    *sync_server.ledger.checks.CHECKS,
    *sync_server.ledger.posting_checks.CHECKS,
    *sync_server.catalog.checks.CHECKS,
    *sync_server.payments.checks.CHECKS,
    *sync_server.orders.checks.CHECKS,
    *sync_server.issuance.checks.CHECKS,
    *sync_server.redemptions.checks.CHECKS,
    *sync_server.redemptions.rival_checks.CHECKS,
    *sync_server.settlement.checks.CHECKS,
    *sync_server.settlement.balance_checks.CHECKS,
    *sync_server.settlement.ending_checks.CHECKS,
    *sync_server.reconciliation.checks.CHECKS,
    *sync_server.settlement.visit_checks.CHECKS,
)


def flaws_of(connection: Connection) -> list[str]:
    """Everything that is not as it must be, each with the rule it breaks and the row that breaks it."""
    return [flaw for part in PARTS for flaw in part(connection)]


def flaws_at(centre: Centre) -> list[str]:
    """The same on a live database, on all processors: each rule is one statement, and sees one moment."""

    def look(part: Part) -> list[str]:
        with centre.read() as connection:
            return part(connection)

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        return [flaw for flaws in pool.map(look, PARTS) for flaw in flaws]


def _guards(connection: Connection) -> list[str]:
    return [f"guards: {flaw}" for flaw in db.guard_flaws(connection)]


def _rule(invariant: Invariant, connection: Connection) -> list[str]:
    return [f"{invariant.name} ({invariant.rule}): {row}" for row in broken(connection, invariant)]


def _log(connection: Connection) -> list[str]:
    flaw = first_flaw(connection)
    return [] if flaw is None else [f"event log (no row changed, removed or put in): {flaw}"]


Part = Callable[[Connection], list[str]]
RULES: tuple[Part, ...] = (*(partial(_rule, invariant) for invariant in INVARIANTS), contradicted)
PARTS: tuple[Part, ...] = (_guards, *RULES, _log)


@click.command()
@click.pass_obj
def check(opener: Opener) -> None:
    """Check the books and the event log. Exit code 1 and one line per flaw when something is wrong.

    What of the signing keys has to be done soon is told on standard error.
    """
    centre = opener()
    flaws = flaws_at(centre)
    with centre.read() as connection:
        for warning in warnings(connection, centre.now_ms()):
            click.echo(f"warning: {warning}", err=True)
    for flaw in flaws:
        click.echo(flaw)
    if flaws:
        sys.exit(EXIT_CHECK_FAILED)
    click.echo(f"all {len(RULES)} rules hold, all guards are in place, the event log is whole")


COMMANDS = (check,)
