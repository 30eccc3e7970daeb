"""`sync-server init | run | worker | jobs list`: set the centre up, serve its pages, do its work."""

from __future__ import annotations

import json
import signal
import sys
import threading

import click
import structlog

from sync_server import crypto, db, schema, slots
from sync_server.audit.log import COMMAND_LINE
from sync_server.catalog.channels import seed_channels
from sync_server.centre import Centre, Opener, open_centre
from sync_server.electronic_cards.platform_client import verifier_of
from sync_server.jobs import ticking, worker
from sync_server.jobs.messages import sender_of
from sync_server.keys.key_set import create_first
from sync_server.payments.providers import no_money_moves, unreached
from sync_server.people.roles import seed_roles
from sync_server.setbacks import listed


@click.command()
@click.pass_obj
def init(opener: Opener) -> None:
    """Make or migrate the database, the secret file and the first keys; built-in roles get what this release
    adds, unless somebody changed them. Safe to run again.
    """
    settings = opener.load()
    made_secrets = not settings.secret_file.exists()
    if made_secrets:
        crypto.write_secrets(settings.secret_file, crypto.make_secrets())
    engine = db.open_engine(settings.database_url)
    before, after = schema.migrate(engine)
    engine.dispose()
    centre = open_centre(settings)
    with centre.write() as connection:
        roles = seed_roles(connection, centre.now_ms(), COMMAND_LINE)
        seed_channels(connection)
    public_key = crypto.public_key_of(centre.secrets)
    public_key_file = settings.secret_file.with_suffix(".merchant.pub.pem")
    public_key_file.write_text(public_key, encoding="ascii")
    done = {
        "database": {"from": before, "to": after},
        "secret_file": str(settings.secret_file),
        "secrets_made": made_secrets,
        "keys_made": create_first(centre),
        "roles": {"given": roles.given, "left_as_changed": roles.left},
        "merchant_key_file": str(public_key_file),
    }
    click.echo(json.dumps(done))


@click.command()
@click.option("--host", default="127.0.0.1", show_default=True)
@click.option("--port", type=click.IntRange(0, 65535), default=8000, show_default=True, help="0: any free one")
@click.option("--processes", type=click.IntRange(1, 64), default=1, show_default=True, help="more need PostgreSQL")
@click.pass_obj
def run(opener: Opener, host: str, port: int, processes: int) -> None:
    """Serve until SIGTERM. Prints READY {"url":…} when it answers."""
    from sync_server.jobs.serving import CentreServer  # gunicorn is needed here only

    centre = opener()
    schema.check_version(centre.engine)
    verifier_of(centre).close()  # what it lacks is told here, not by a web process that cannot start
    _warn_of_providers(centre)
    centre.engine.dispose()
    CentreServer(centre.settings, host, port, processes).run()


@click.command(name="worker")
@click.option("--once", is_flag=True, help="turn until nothing is left to do now, then end")
@click.pass_obj
def work(opener: Opener, once: bool) -> None:
    """Do the centre's work until SIGTERM: transfers, issuance, lists, settlement."""
    centre = opener()
    schema.check_version(centre.engine)
    sender_of(centre).close()  # what it lacks is told here, not with every message
    structlog.configure(logger_factory=structlog.WriteLoggerFactory(sys.stderr))
    _warn_of_providers(centre)
    worker.collect_seldom()
    if once:
        click.echo(json.dumps({"done": worker.run_dry(centre)}))
        return
    stopped = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda _number, _frame: stopped.set())
    click.echo("READY {}")
    worker.run(centre, stopped)


def _warn_of_providers(centre: Centre) -> None:
    """A centre may work without one, but then nobody is charged and nobody is paid, without any error."""
    if lacking := unreached(centre.settings):
        click.echo(f"sync-server: {no_money_moves(lacking)}", err=True)


@click.group()
def jobs() -> None:
    """What the worker does by the calendar."""


@jobs.command(name="list")
@click.pass_obj
def list_(opener: Opener) -> None:
    """One JSON line per job: when it is due next, and what became of the last time it was."""
    centre = opener()
    with centre.read() as connection:
        newest = {row.name: row for row in slots.newest(connection)}
    for job in ticking.JOBS:
        due_ms = ticking.next_slot_ms(job.cron, centre.settings.zone, centre.now_ms())
        told: dict[str, object] = {"name": job.name, "cron": job.cron, "due_ms": due_ms, "state": None}
        if (row := newest.get(job.name)) is not None:
            told |= {"state": row.state, "slot_ms": row.slot_ms, "started_at_ms": row.started_at_ms}
            told |= {"finished_at_ms": row.finished_at_ms, "tries": row.tries, "done": row.done, "reason": row.reason}
        click.echo(json.dumps(told, ensure_ascii=False))


@click.command()
@click.pass_obj
def setbacks(opener: Opener) -> None:
    """Rows that a worker step put aside, with the reason and when they are tried again. A JSON line each."""
    with opener().read() as connection:
        for row in listed(connection):
            click.echo(json.dumps(row._asdict(), ensure_ascii=False))


COMMANDS = (init, run, work, jobs, setbacks)
