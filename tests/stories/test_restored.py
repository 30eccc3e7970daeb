"""What was restored from an old copy, the centre or a gate's card: after one round all is as if it had not been."""

from __future__ import annotations

import json
import shutil
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import click
import pytest
import sqlalchemy as sa
from click.testing import CliRunner

from gate_agent.pass_list import PassList
from gate_agent.sync_state import LinkTrouble
from sync_server import backups, crypto, db, schema
from sync_server.catalog.channels import seed_channels
from sync_server.centre import Centre, Opener
from sync_server.checks import flaws_of
from sync_server.feed.publishing import publish_feeds
from sync_server.gates import watermarks
from sync_server.gates.tables import incarnation
from sync_server.ledger.balances import trial_balance
from sync_server.orders.tables import item_claim
from sync_server.payments import transfers
from sync_server.payments.provider import Instruction, NotKnown, Succeeded
from sync_server.redemptions.tables import entry, forked_entry, redemption
from sync_server.redemptions.uses import count_uses
from sync_server.settings import Settings
from sync_server.settlement.clearing import clear_redemptions
from sync_server.settlement.payouts import follow_transfers
from tests.stories.real_boxes import RealBox, enrolled_box, served
from tests.sync_server.conftest import Clock
from tests.sync_server.town import OpenHanded, Sold, Town, build_town

pytestmark = pytest.mark.slow("scale")

HOUR_MS = 3_600_000
GATES = 20
BACKUP_AGE_H = 6


@dataclass
class Payer(OpenHanded):
    """A provider that keeps a book: one number moves money once."""

    moved: dict[str, Instruction] = field(default_factory=dict)

    def send(self, instruction: Instruction) -> Succeeded:
        held = self.moved.setdefault(instruction.out_no, instruction)
        assert held == instruction, "one number for two payments"
        return super().send(instruction)

    def query(self, instruction: Instruction) -> NotKnown:
        return NotKnown()

    def paid_out_fen(self) -> int:
        """To venues, in all."""
        return sum(one.amount_fen for one in self.moved.values() if one.kind == "PAYOUT")


@dataclass
class Place:
    """A town with boxes that reach its centre over HTTP."""

    town: Town
    payer: Payer
    folder: Path
    boxes: list[RealBox] = field(default_factory=list)
    port: int = 0
    _served: ExitStack = field(default_factory=ExitStack)

    @property
    def centre(self) -> Centre:
        return self.town.centre

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def serve(self) -> None:
        """At the same address as before."""
        self.port = self._served.enter_context(served(self.centre, self.port))

    def restore(self, file: Path) -> None:
        """The centre's machine is lost; it comes back with what the backup has."""
        self._served.close()
        self.centre.engine.dispose()
        (self.folder / "lost").mkdir()
        for part in self.folder.glob("centre.db*"):
            part.rename(self.folder / "lost" / part.name)
        command(self.centre, backups.restore, file)
        settings, clock = self.centre.settings, self.town.clock
        self.town.centre = Centre(settings, db.open_engine(settings.database_url), self.centre.secrets, clock)
        self.serve()

    def stop(self) -> None:
        for box in self.boxes:
            box.stop()
        self._served.close()
        self.centre.engine.dispose()

    def box(self, name: str) -> RealBox:
        """One more gate at the bridge."""
        made = enrolled_box(self.centre, self.town.clock, self.town.venues["bridge"], self.url, self.folder / name)
        self.boxes.append(made)
        return made

    def round(self) -> list[LinkTrouble]:
        """Every box and the worker once."""
        publish_feeds(self.centre)
        troubles = [trouble for box in self.boxes for trouble in box.sync()]
        count_uses(self.centre)
        publish_feeds(self.centre)
        clear_redemptions(self.centre)
        transfers.move_due(self.centre, {"ALIPAY": self.payer})
        follow_transfers(self.centre)
        return troubles

    def totals(self) -> dict[str, Any]:
        """What must not depend on a restore."""
        with self.centre.read() as connection:
            assert flaws_of(connection) == []
            return {
                "entries": set(connection.execute(sa.select(entry.c.device_id, entry.c.seq, entry.c.hash)).all()),
                "outcomes": Counter(connection.execute(sa.select(redemption.c.item_id, redemption.c.outcome)).all()),
                "claims": Counter(connection.execute(sa.select(item_claim.c.item_id)).scalars()),
                "balance": {line.code: line.balance_fen for line in trial_balance(connection)},
                "paid": self.payer.paid_out_fen(),
            }


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    """A centre that is served, without gates."""
    crypto.write_secrets(tmp_path / "secrets", crypto.make_secrets())
    settings = Settings(database_url=f"sqlite:///{tmp_path / 'centre.db'}", secret_file=tmp_path / "secrets")
    engine = db.open_engine(settings.database_url)
    schema.migrate(engine)
    with db.write(engine) as connection:
        seed_channels(connection)
    centre = Centre(settings, engine, crypto.read_secrets(settings.secret_file), Clock())
    made = Place(build_town(centre), Payer(), tmp_path)
    made.serve()
    yield made
    made.stop()


def command(centre: Centre, which: click.Command, *arguments: object) -> dict[str, Any]:
    """A command of `sync-server` on the centre's settings."""
    done = CliRunner(catch_exceptions=False).invoke(which, [*map(str, arguments)], obj=Opener(lambda: centre.settings))
    assert done.exit_code == 0, done.output
    told: dict[str, Any] = json.loads(done.output)
    return told


def test_a_centre_restored_from_a_backup_is_as_if_nothing_had_been(place: Place, times: Callable[[int], int]) -> None:
    """Twenty gates, a backup six hours old: one round, and nobody does anything by hand (quality.md R5)."""
    town, gates = place.town, max(4, times(GATES))
    sold = [one for _ in range(gates) for one in town.sell("single", 12)]
    for number in range(gates):
        place.box(f"G{number}")
    assert place.round() == []
    shown = iter(sold)

    def visitors(each: int) -> None:
        for box in place.boxes:
            for _ in range(each):
                box.admit(next(shown))

    visitors(3)
    assert place.round() == []
    file = place.folder / "backup.db"
    command(place.centre, backups.backup, file)
    for _ in range(BACKUP_AGE_H):
        town.clock.pass_ms(HOUR_MS)
        visitors(1)
        place.boxes[0].admit(sold[0])  # a second entry, for which nobody is paid
        assert place.round() == []
    visitors(1)  # not sent yet when it happens
    place.boxes[0].push.push_once()
    assert place.round() == []
    before, payments = place.totals(), len(place.payer.moved)
    assert before["outcomes"].total() == 10 * gates + BACKUP_AGE_H
    held = PassList.open(place.boxes[0].data_dir)
    assert held is not None

    place.restore(file)
    with place.centre.read() as connection:
        assert connection.scalar(sa.select(sa.func.count()).select_from(redemption)) == 3 * gates
    town.clock.pass_ms(60_000)
    assert place.round() == [], "no gate takes the restored centre for a stranger"

    assert place.totals() == before
    assert len(place.payer.moved) == payments, "no venue is paid twice"
    assert place.round() == []
    assert place.totals() == before
    for box in place.boxes:
        renewed = PassList.open(box.data_dir)
        assert renewed is not None and renewed.epoch > held.epoch
    with place.centre.read() as connection:
        marks = watermarks.watermarks(connection, town.clock.now_ms)
        assert not [one for one in marks if one.frozen_cause or one.synced_through_ms is None]


def test_an_old_copy_of_a_gates_card_costs_no_entry_and_no_money(place: Place) -> None:
    """The copy admits on its own for a while, off line; then the gate begins another journal by itself."""
    sold = iter(place.town.sell("single", 40))
    box, other = place.box("G1"), place.box("G2")

    def admitted(count: int) -> list[Sold]:
        people = [next(sold) for _ in range(count)]
        for one in people:
            box.admit(one)
        return people

    early = admitted(4)
    assert place.round() == []
    box.stop()
    shutil.copytree(box.data_dir, place.folder / "image")
    box.start()
    on_the_first_card = admitted(6)
    assert place.round() == []

    box.stop()
    shutil.rmtree(box.data_dir)
    shutil.copytree(place.folder / "image", box.data_dir)
    box.start()
    assert box.entries.last_seq == 8, "the old copy"
    on_the_copy = admitted(5)
    twice = early[0]
    other.admit(twice)
    old = box.entries.incarnation
    (trouble,) = place.round()
    assert "another history" in trouble.detail

    box.stop()
    box.start()
    assert box.entries.incarnation != old and box.opened.event == "journal_superseded"
    assert {entry.seq for entry in box.entries.entries_of(twice.pass_id)} == {-7, -6}, "what was used stays used"
    later = admitted(2)
    assert place.round() == []
    with place.centre.read() as connection:
        outcomes = Counter(connection.execute(sa.select(redemption.c.outcome)).scalars())
        everybody = [*early, *on_the_first_card, *on_the_copy, *later]
        assert outcomes == {"CLAIMED": len(everybody), "CONFLICT": 1}
        mine = incarnation.c.device_id == box.store.read().device
        rows = {row.incarnation: row for row in connection.execute(sa.select(incarnation).where(mine)).all()}
        assert "two histories meet at entry 9" in rows[old].frozen_cause
        follower = rows[box.entries.incarnation]
        assert (follower.supersedes, follower.supersedes_seq, follower.frozen_cause) == (old, 20, None)
        assert connection.scalar(sa.select(sa.func.count()).select_from(forked_entry)) == 10
        assert flaws_of(connection) == []
    assert place.payer.paid_out_fen() == len(everybody) * 5_000


def test_a_copy_that_is_put_in_while_the_gate_is_on_line_loses_nothing(place: Place) -> None:
    """It has admitted nobody yet when it hears of the centre: nothing parts, nothing is frozen."""
    box = place.box("G1")
    sold = place.town.sell("single", 4)
    box.admit(sold[0])
    assert place.round() == []
    box.stop()
    shutil.copytree(box.data_dir, place.folder / "image")
    box.start()
    box.admit(sold[1])
    assert place.round() == []
    box.stop()
    shutil.rmtree(box.data_dir)
    shutil.copytree(place.folder / "image", box.data_dir)
    box.start()
    (trouble,) = place.round()
    assert "another history" in trouble.detail
    box.stop()
    box.start()
    box.admit(sold[2])
    assert place.round() == []
    assert place.payer.paid_out_fen() == 3 * 5_000
    with place.centre.read() as connection:
        assert not list(connection.execute(sa.select(incarnation).where(incarnation.c.frozen_cause.is_not(None))))
        assert connection.scalar(sa.select(sa.func.count()).select_from(forked_entry)) == 0
