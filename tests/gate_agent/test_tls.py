"""The certificate for tablets: what cannot be used is named with what to do about it."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from gate_agent import checkup, tls
from gate_agent.settings import ScreenSettings
from gate_agent.time_trust import Now
from gate_agent.tls import TlsFault
from tests.gate_agent.beijing import NOW_MS
from tests.gate_agent.venue_tls import Files, certified, pem_of
from wire.messages import ClockTrust

HOST = "127.0.0.1"
NOT_OURS = "203.0.113.9"
NOW = Now(NOW_MS, ClockTrust.TRUSTED, 0, NOW_MS, NOW_MS)


@pytest.fixture
def files(tmp_path: Path) -> Files:
    return certified(tmp_path, HOST)


def test_a_certificate_and_its_key_are_taken(files: Files) -> None:
    tls.load(files.cert, files.key)
    assert tls.ends_at(files.cert) == datetime(2099, 1, 1, tzinfo=UTC)


def test_what_cannot_be_used_is_named(files: Files, tmp_path: Path) -> None:
    def says(sentence: str, cert: Path = files.cert, key: Path = files.key) -> None:
        with pytest.raises(TlsFault, match=sentence):
            tls.load(cert, key)

    says("screen.tls_cert: .*absent cannot be read .*No such file", cert=tmp_path / "absent")
    says("screen.tls_key: .*absent cannot be read", key=tmp_path / "absent")
    says("screen.tls_key: .* cannot be read .*Is a directory", key=tmp_path)
    says("cannot be used together", cert=files.key)
    files.key.write_bytes(pem_of(ec.generate_private_key(ec.SECP256R1())))
    says("the one of the first certificate")
    files.key.write_bytes(pem_of(ec.generate_private_key(ec.SECP256R1()), b"secret"))
    says("without a password")


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660])
def test_a_key_that_others_may_read_is_not_taken(files: Files, mode: int) -> None:
    files.key.chmod(mode)
    with pytest.raises(TlsFault, match=r"others may read .*chmod 600"):
        tls.load(files.cert, files.key)


@pytest.mark.parametrize(
    ("host", "ends", "says"),
    [
        (HOST, "2099-01-01", "ok  the certificate for tablets is good until 2099-01-01"),
        (HOST, "2026-11-25", "NOT the certificate for tablets is good until 2026-11-25"),
        (HOST, "2026-03-01", "NOT the certificate for tablets is good until 2026-03-01: make a new one"),
        (NOT_OURS, "2099-01-01", "NOT screen.listen: 203.0.113.9 is no address of this machine now"),
    ],
)
def test_check_says_whether_tablets_reach_the_box(tmp_path: Path, host: str, ends: str, says: str) -> None:
    files = certified(tmp_path, host, datetime.fromisoformat(ends).replace(tzinfo=UTC))
    screen = ScreenSettings(listen=f"{host}:8443", tls_cert=str(files.cert), tls_key=str(files.key))
    found = [str(finding) for finding in checkup.tablets(screen, NOW)]
    assert any(finding.startswith(says) for finding in found), found
    assert not list(checkup.tablets(ScreenSettings(), NOW))
