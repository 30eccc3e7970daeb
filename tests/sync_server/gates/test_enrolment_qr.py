"""The QR code of an enrolment: what a gate's camera reads of it, and the CA in it."""

from __future__ import annotations

import io
import json
from pathlib import Path

import msgspec
import pytest
from click.testing import CliRunner
from cryptography.hazmat.primitives.serialization import Encoding

from sync_server.centre import Centre
from sync_server.errors import ConfigurationError
from sync_server.gates.commands import enrolment_code
from sync_server.gates.enrolment_qr import enrolment_svg
from sync_server.keys import key_set
from tests.certificates import Authority
from tests.sync_server.town import build_town
from wire.invitation import invitation_text
from wire.messages import ENROLMENT_SECRET_BYTES, make_enrolment_code, read_enrolment_code

ROOT = bytes(range(32))
CODE = make_enrolment_code(bytes(range(ENROLMENT_SECRET_BYTES)), ROOT)


def with_ca(centre: Centre, ca: Path) -> Centre:
    settings = msgspec.structs.replace(centre.settings, gate_ca_file=ca)
    return Centre(settings, centre.engine, centre.secrets, centre.now_ms)


def same_picture(svg: str, text: str) -> bool:
    import segno

    drawn = io.BytesIO()
    code = segno.make_qr(text, error="m", boost_error=False)
    code.save(drawn, kind="svg", xmldecl=False, scale=4, border=4, dark="#14202b", light="#fff")
    return drawn.getvalue().decode() == svg


def test_the_command_draws_what_a_gate_reads(centre: Centre, tmp_path: Path) -> None:
    build_town(centre)
    authority = Authority()
    (tmp_path / "ca.pem").write_text(authority.pem)
    answer = CliRunner(catch_exceptions=False).invoke(
        enrolment_code,
        ["--venue", "1", "--qr", str(tmp_path / "code.svg")],
        obj=lambda: with_ca(centre, tmp_path / "ca.pem"),
    )
    told = json.loads(answer.output)
    typed = read_enrolment_code(told["code"])
    assert typed is not None
    with centre.read() as connection:
        root_public = key_set.newest(connection).root_public
    text = invitation_text(told["url"], typed.secret, root_public, authority.certificate.public_bytes(Encoding.DER))
    assert same_picture((tmp_path / "code.svg").read_text(), text)


def test_without_a_ca_it_is_small(centre: Centre) -> None:
    svg = enrolment_svg(centre.settings, CODE, ROOT)
    assert same_picture(svg, invitation_text(centre.settings.base_url, CODE.secret, ROOT))


def test_what_is_no_ca_is_told(centre: Centre, tmp_path: Path) -> None:
    (tmp_path / "text.pem").write_text("no certificate")
    authority = Authority()
    authority.server_side(tmp_path)
    (tmp_path / "large.pem").write_text(Authority(large=True).pem)
    for file, why in (
        ("missing.pem", "no CA certificate"),
        ("text.pem", "no CA certificate"),
        ("server.pem", "CA certificate"),
        ("large.pem", "P-256"),
    ):
        with pytest.raises(ConfigurationError, match=why):
            enrolment_svg(with_ca(centre, tmp_path / file).settings, CODE, ROOT)
