"""`sync-server venue`: what the command line shows and changes of a venue."""

from __future__ import annotations

import json

from click.testing import CliRunner, Result

from sync_server.centre import Centre
from sync_server.errors import NotAllowedError
from sync_server.parties.commands import venue
from tests.sync_server.town import build_town


def run(centre: Centre, *arguments: str, text: str = "") -> Result:
    return CliRunner().invoke(venue, arguments, obj=lambda: centre, input=text)


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


def test_a_calendar_is_read_from_lines_and_told(centre: Centre) -> None:
    build_town(centre)
    first = json.loads(run(centre, "calendar", "1").stdout)
    assert first == {"number": 1, "open": True, "version": 0, "hours": [], "closed_days": [], "closures": []}
    told = json.loads(run(centre, "calendar", "1", "--hours", "-", text="周二至周日 8:00-17:00\n").stdout)
    assert (told["version"], told["hours"], told["open"]) == (1, ["周二至周日 08:00-17:00"], False)  # it is a Monday
    told = json.loads(run(centre, "calendar", "1", "--closed-days", "-", text="国庆节：2026年10月1日至7日").stdout)
    assert told["hours"] == ["周二至周日 08:00-17:00"]
    assert told["closed_days"] == [{"days": "2026-10-01 至 2026-10-07", "cause": "国庆节"}]
    assert json.loads(run(centre, "calendar", "1", "--hours", "-").stdout)["hours"] == []


def test_a_wrong_line_is_named(centre: Centre) -> None:
    build_town(centre)
    said = run(centre, "calendar", "1", "--closed-days", "-", text="2026-10-01\n国庆\n")
    assert said.exit_code == 2
    assert "--closed-days: line 2 names no day" in said.output
    assert json.loads(run(centre, "calendar", "1").stdout)["version"] == 0


def test_a_venue_is_closed_and_reopened(centre: Centre) -> None:
    build_town(centre)
    made = json.loads(run(centre, "close", "1", "--cause", "大风", "--until", "2026-09-21T23:00").stdout)
    told = json.loads(run(centre, "calendar", "1").stdout)
    assert told["open"] is False
    assert told["closures"] == [
        {
            "id": made["closure"],
            "since": "2026-09-21T22:13:00+08:00",
            "until": "2026-09-21T23:00:00+08:00",
            "cause": "大风",
        }
    ]
    assert json.loads(run(centre, "reopen", "1").stdout)["reopened"] == made["closure"]
    assert json.loads(run(centre, "calendar", "1").stdout)["open"] is True
    assert isinstance(run(centre, "reopen", "1").exception, NotAllowedError)
    assert run(centre, "close", "1", "--cause", "大风", "--until", "tonight").exit_code == 2
    assert isinstance(run(centre, "close", "1", "--cause", " ").exception, NotAllowedError)
