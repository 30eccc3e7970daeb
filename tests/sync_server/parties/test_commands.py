"""`sync-server venue`: what the command line shows and changes of a venue."""

from __future__ import annotations

import json

from click.testing import CliRunner, Result

from sync_server.centre import Centre
from sync_server.parties.commands import venue
from tests.sync_server.town import build_town


def run(centre: Centre, *arguments: str) -> Result:
    return CliRunner().invoke(venue, arguments, obj=lambda: centre)


def test_a_venue_is_told_to_take_electronic_cards(centre: Centre) -> None:
    build_town(centre)
    assert run(centre, "set", "2", "--electronic-cards").exit_code == 0
    listed = [json.loads(line) for line in run(centre, "list").stdout.splitlines()]
    assert [(row["number"], row["electronic_cards"]) for row in listed] == [(1, False), (2, True)]
    assert run(centre, "set", "2", "--no-electronic-cards").exit_code == 0
    assert json.loads(run(centre, "list").stdout.splitlines()[1])["electronic_cards"] is False


def test_nothing_named_is_nothing_changed(centre: Centre) -> None:
    build_town(centre)
    said = run(centre, "set", "1")
    assert said.exit_code == 2
    assert "--electronic-cards" in said.output
    assert run(centre, "set", "9", "--electronic-cards").exit_code != 0
