"""The self-check: it sees what is broken, and nothing it does is a visitor's."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from gate_agent import selfcheck
from gate_agent.decision import Admit, Refuse
from gate_agent.recognition import NotOurs
from gate_agent.selfcheck import SelfCheck, drawn
from hardware.qr import QrReader
from tests.gate_agent.stage import Stage
from tests.gate_agent.venue import NOW_MS, Venue
from wire.reasons import Reason


@pytest.fixture
def check(stage: Stage) -> SelfCheck:
    """Of a gate whose lane has a camera."""
    return SelfCheck(stage.journal, reads_codes=True, record_ms=lambda: NOW_MS)


def test_all_is_well_and_the_row_is_written_beside_the_chain(stage: Stage, check: SelfCheck) -> None:
    assert check.failure() is None
    (at_ms,) = stage.entries._db.execute("SELECT at_ms FROM selfcheck").fetchone()
    assert at_ms == NOW_MS
    assert stage.written() == []
    assert stage.scans() == []
    assert stage.pulses() == []


def test_its_code_opens_no_lane(stage: Stage, check: SelfCheck) -> None:
    Venue().settle(stage.data_dir)
    verdict = stage.show(check.code)
    assert isinstance(verdict, Refuse)
    assert verdict.reason in (Reason.UNKNOWN_KEY, Reason.FORGED, Reason.WRONG_VENUE)
    assert stage.pulses() == []


def test_each_check_has_a_key_of_its_own(stage: Stage, check: SelfCheck) -> None:
    assert SelfCheck(stage.journal, reads_codes=False, record_ms=lambda: NOW_MS).code != check.code


def test_a_decoder_that_reads_nothing_is_found(monkeypatch: pytest.MonkeyPatch, check: SelfCheck) -> None:
    monkeypatch.setattr(QrReader, "read", lambda *_: [])
    assert check.failure() == "the code reader read 0 codes where one was drawn"


def test_a_gate_that_takes_its_own_code_for_a_strangers_is_found(
    monkeypatch: pytest.MonkeyPatch, check: SelfCheck
) -> None:
    monkeypatch.setattr(selfcheck, "recognise", NotOurs)
    assert check.failure() == "a good code was judged not_ours"


def test_a_gate_that_lets_in_everybody_is_found(monkeypatch: pytest.MonkeyPatch, check: SelfCheck) -> None:
    product = selfcheck._VENUE.document.products[0]
    monkeypatch.setattr(selfcheck, "decide", lambda *_: Admit(product, None))  # type: ignore[arg-type]
    assert "a forged code was judged" in str(check.failure())


def test_a_disk_that_only_people_can_mend_is_no_reason_to_start_anew(stage: Stage, check: SelfCheck) -> None:
    stage.disk_takes(False)  # read-only
    assert check.failure() is None


def test_a_journal_that_is_gone_is(stage: Stage, check: SelfCheck) -> None:
    (stage.data_dir / "entries.db").unlink()
    assert "was deleted" in str(check.failure())


def test_what_is_drawn_can_be_read(check: SelfCheck) -> None:
    assert drawn(check.code).ndim == 2


@pytest.mark.slow
def test_without_a_camera_no_decoder_is_loaded(tmp_path: Path) -> None:
    script = f"""
import sys
from pathlib import Path
from gate_agent.entries import Entries
from gate_agent.journal import Journal
from gate_agent.selfcheck import SelfCheck
journal = Journal(Entries.open(Path({str(tmp_path)!r}), lambda: bytes(8))[0])
journal.start()
assert SelfCheck(journal, False, lambda: 1).failure() is None
journal.close()
print(sorted({{"cv2", "numpy", "zxingcpp"}} & set(sys.modules)))
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
