"""The command line: `gate-agent run | sync | enrol | check | status | health | verify | export | read | …`."""

from __future__ import annotations

import json
import logging
import sys
from pathlib import Path

import click

from gate_agent.close_command import close_journal
from gate_agent.commission_command import commission
from gate_agent.enrol_command import enrol
from gate_agent.look_commands import LOOKS
from gate_agent.options import DATA, fail, must_exist
from gate_agent.run_command import run
from gate_agent.staff_commands import staff_commands


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
def main() -> None:
    """The gate agent: admits passes at a venue's turnstiles, with or without the network."""
    logging.basicConfig(level=logging.INFO, format="%(name)s: %(message)s", stream=sys.stderr)


for command in (run, enrol, commission, close_journal, staff_commands, *LOOKS):
    main.add_command(command)


@main.command()
@DATA
def sync(data_dir: Path) -> None:
    """Talk to the centre until SIGTERM: fetch the list, send the entries. `run` starts this by itself."""
    from gate_agent.sync import run_forever

    data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    sys.exit(run_forever(data_dir))


@main.command("import")
@DATA
@click.argument("folder", metavar="DIR", type=click.Path(file_okay=False, exists=True, path_type=Path))
def import_(data_dir: Path, folder: Path) -> None:
    """Bring a list that `sync-server list export` wrote to DIR; the agent may go on running."""
    from gate_agent.list_import import NotImported, import_list

    must_exist(data_dir)
    try:
        head = import_list(data_dir, folder)
    except NotImported as problem:
        fail(str(problem))
    click.echo(json.dumps({"list": [head.epoch, head.version], "signed_at_ms": head.signed_at_ms}))
