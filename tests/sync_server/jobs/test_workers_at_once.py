"""Three real workers on one database: every message leaves once, every slot runs once; their whole histories say so."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa

from sync_server.centre import Centre, open_centre
from sync_server.clock import now_ms
from sync_server.jobs.ticking import JOBS
from sync_server.notices.acts import change_setting
from sync_server.notices.promising import promise
from sync_server.notices.tables import message
from sync_server.outbox import outbox
from sync_server.parties.contacts import set_contact
from sync_server.parties.parties import NewParty, add_party
from sync_server.settings import Settings
from sync_server.slots import job_slot
from tests.sync_server.notices import sms_gateway
from tests.sync_server.notices.desk import ADMIN, low_stock
from tests.sync_server.notices.sms_gateway import KEY_ID, KEY_SECRET, SIGN_NAME, SmsGateway
from tests.waiting import until

pytestmark = [pytest.mark.story, pytest.mark.slow]

WORKERS, MESSAGES, PATIENCE_S = 3, 40, 120


@pytest.fixture
def gateway() -> Iterator[SmsGateway]:
    with sms_gateway.running(now_ms) as made:
        yield made


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def environment(request: pytest.FixtureRequest, tmp_path: Path, gateway: SmsGateway) -> dict[str, str]:
    """The settings of a centre whose messages go to the gateway."""
    sqlite = request.param == "sqlite"
    key_file = tmp_path / "sms.json"
    key_file.write_text(json.dumps({"id": KEY_ID, "secret": KEY_SECRET}))
    key_file.chmod(0o600)
    settings = {
        "database_url": f"sqlite:///{tmp_path / 'centre.db'}" if sqlite else request.getfixturevalue("postgres_url"),
        "secret_file": str(tmp_path / "secrets"),
        "sms_sender": "aliyun",
        "sms_url": gateway.url,
        "sms_key_file": str(key_file),
        "sms_sign_name": SIGN_NAME,
    }
    return {**os.environ, **{f"SYNC_SERVER_{name.upper()}": value for name, value in settings.items()}}


def command(environment: dict[str, str], *words: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-m", "sync_server", *words], env=environment, stdout=subprocess.DEVNULL)


def centre_of(environment: dict[str, str]) -> Centre:
    url, secret_file = environment["SYNC_SERVER_DATABASE_URL"], Path(environment["SYNC_SERVER_SECRET_FILE"])
    return open_centre(Settings(database_url=url, secret_file=secret_file))


def test_every_message_leaves_once_and_every_slot_runs_once(environment: dict[str, str], gateway: SmsGateway) -> None:
    assert command(environment, "init").wait(PATIENCE_S) == 0
    centre = centre_of(environment)
    with centre.write() as connection:
        platform = NewParty("PLATFORM", "P001", "平台", "Platform", "platform")
        party_id = add_party(connection, platform, "Asia/Shanghai", now_ms())
        set_contact(connection, centre.secrets, party_id, "王芳", ADMIN, "test", "test", now_ms())
        change_setting(connection, "low_stock", "test", now_ms(), template_code="SMS_123")
        promise(connection, now_ms(), *map(low_stock, range(MESSAGES)))
    workers = [command(environment, "worker") for _ in range(WORKERS)]
    until(lambda: len(gateway.taken) == MESSAGES, PATIENCE_S)
    until(lambda: slots_of(centre) == {job.name: (1, "DONE") for job in JOBS}, PATIENCE_S)
    until(lambda: states_of(centre) == {"SENT"}, PATIENCE_S)
    for worker in workers:
        worker.send_signal(signal.SIGTERM)
    assert [worker.wait(PATIENCE_S) for worker in workers] == [0] * WORKERS
    assert gateway.refused == []
    assert {len(taken) for taken in gateway.taken.values()} == {1}
    assert gateway.requests == ["SendSms"] * MESSAGES
    with centre.read() as connection:
        tries = connection.execute(
            sa.select(message.c.tries, outbox.c.fence).join(outbox, outbox.c.subject_id == message.c.id)
        )
        assert set(map(tuple, tries)) == {(1, 1)}
    centre.engine.dispose()


def slots_of(centre: Centre) -> dict[str, tuple[int, str]]:
    """Of each job how many tries its slots took at most, and how the newest ended."""
    with centre.read() as connection:
        rows = connection.execute(sa.select(job_slot).order_by(job_slot.c.name, job_slot.c.slot_ms)).all()
    tries: dict[str, int] = {}
    for row in rows:
        tries[row.name] = max(tries.get(row.name, 0), row.tries)
    return {row.name: (tries[row.name], row.state) for row in rows}


def states_of(centre: Centre) -> set[str]:
    with centre.read() as connection:
        return set(connection.scalars(sa.select(message.c.state)))
