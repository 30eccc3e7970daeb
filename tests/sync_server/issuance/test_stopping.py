"""By command a pass is stopped and let go again: what the log keeps, and what the gates' staff are told of it."""

from __future__ import annotations

import json

import pytest
import sqlalchemy as sa
from click.testing import CliRunner

from sync_server.centre import Centre
from sync_server.issuance.commands import pass_
from sync_server.issuance.tables import issued_pass
from tests.sync_server.town import Town, build_town
from wire import moments


@pytest.fixture
def town(centre: Centre) -> Town:
    return build_town(centre)


def test_the_command_says_why_and_since_when_until_the_pass_is_resumed(town: Town) -> None:
    [sold] = town.sell("single")
    minute = moments.minute_floor(town.clock.now_ms)

    def after(command: str, *options: str) -> tuple[str, str | None, int | None]:
        arguments = [command, sold.number, "--reason", "called from 138…", *options]
        done = CliRunner().invoke(pass_, arguments, obj=lambda: town.centre)
        assert done.exit_code == 0, done.output
        columns = (issued_pass.c.status, issued_pass.c.stop_cause, issued_pass.c.stopped_at)
        with town.centre.read() as connection:
            status, cause, since = connection.execute(sa.select(*columns)).one()
        assert json.loads(done.stdout)["status"] == status
        return status, cause, since

    assert after("suspend", "--cause", "lost") == ("SUSPENDED", "lost", minute)
    assert after("resume") == ("ACTIVE", None, None)
    assert after("suspend") == ("SUSPENDED", "other", minute)
    assert after("revoke") == ("REVOKED", "cancelled", minute)


def test_a_cause_that_nobody_knows_is_refused_with_those_there_are(town: Town) -> None:
    [sold] = town.sell("single")
    arguments = ["suspend", sold.number, "--reason", "x", "--cause", "whim"]
    done = CliRunner().invoke(pass_, arguments, obj=lambda: town.centre)
    assert done.exit_code == 2
    assert "lost" in done.output and "review" in done.output
