"""The provider's client believes nothing that the provider did not sign about this very number."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ed25519, rsa

from sandbox_provider.signing import HEADER, load_or_make_key, sign
from sync_server import crypto
from sync_server.errors import ConfigurationError
from sync_server.payments import sandbox_client
from sync_server.payments.provider import Instruction, Succeeded, Unclear
from sync_server.payments.sandbox_client import SandboxClient

CHARGE = Instruction("CHARGE", "n1", "shop", 100, "title")
SUCCESS = {"app_id": "platform", "out_no": "n1", "status": "SUCCESS", "amount_fen": 100, "provider_ref": "P1"}


class Impostor:
    """Stands at the provider's address and answers with what it is given."""

    def __init__(self, key_folder: Path) -> None:
        self.key = load_or_make_key(key_folder)
        self.status, self.body, self.headers = 200, b"", dict[str, str]()
        self._server = HTTPServer(("127.0.0.1", 0), self._handler())
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)
        self._thread.start()

    def answer(
        self, said: object, number: str = "n1", purpose: str = "answer", key: rsa.RSAPrivateKey | None = None
    ) -> None:
        self.body = json.dumps(said).encode()
        self.headers = {HEADER: sign(key or self.key, purpose, number, self.body)}

    def stop(self) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        impostor = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                self.rfile.read(int(self.headers["Content-Length"]))
                self.send_response(impostor.status)
                for name, value in {**impostor.headers, "Content-Length": str(len(impostor.body))}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(impostor.body)

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002  the library's name
                """Silent."""

        return Handler


@pytest.fixture
def impostor(provider_key: Path) -> Iterator[Impostor]:
    made = Impostor(provider_key)
    yield made
    made.stop()


@pytest.fixture
def client(impostor: Impostor, provider_key: Path, secrets: crypto.Secrets) -> Iterator[SandboxClient]:
    public = (provider_key / "provider.pub.pem").read_bytes()
    made = SandboxClient(impostor.url, "platform", secrets.provider_private_key, public, "http://127.0.0.1/notice")
    yield made
    made.close()


def test_a_signed_answer_about_this_number_is_believed(impostor: Impostor, client: SandboxClient) -> None:
    impostor.answer(SUCCESS)
    assert client.send(CHARGE) == client.query(CHARGE) == Succeeded("P1", 100)


def test_everything_else_is_unclear_never_a_failure_and_never_a_success(
    impostor: Impostor, client: SandboxClient
) -> None:
    stranger = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    for said, signing in (
        (SUCCESS, {"key": stranger}),
        (SUCCESS, {"purpose": "notice"}),
        (SUCCESS, {"number": "n2"}),
        ({**SUCCESS, "out_no": "n2"}, {}),
        ({**SUCCESS, "app_id": "another"}, {}),
        ({**SUCCESS, "status": "WONDERFUL"}, {}),
        ({**SUCCESS, "provider_ref": None}, {}),
        ({**SUCCESS, "amount_fen": "100"}, {}),
        ([], {}),
    ):
        impostor.answer(said, **signing)
        assert isinstance(client.send(CHARGE), Unclear), said


@pytest.mark.parametrize(
    ("status", "headers", "body"),
    [
        (200, {}, json.dumps(SUCCESS).encode()),
        (200, {HEADER: "*"}, json.dumps(SUCCESS).encode()),
        (200, {}, b"<html>log in</html>"),
        (302, {"Location": "http://127.0.0.1:1/"}, b""),
        (504, {}, b""),
        (200, {}, b"x" * (sandbox_client.MAX_ANSWER_BYTES * 3)),
    ],
)
def test_what_is_not_signed_is_unclear(
    impostor: Impostor, client: SandboxClient, status: int, headers: dict[str, str], body: bytes
) -> None:
    impostor.status, impostor.headers, impostor.body = status, headers, body
    assert isinstance(client.send(CHARGE), Unclear)


def test_nobody_there_is_unclear(impostor: Impostor, client: SandboxClient) -> None:
    impostor.stop()
    answer = client.send(CHARGE)
    assert isinstance(answer, Unclear)
    assert "no answer from 127.0.0.1" in answer.reason


def test_a_key_that_is_no_rsa_key_is_a_configuration_error(secrets: crypto.Secrets) -> None:

    public = ed25519.Ed25519PrivateKey.generate().public_key()
    pem = public.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    with pytest.raises(ConfigurationError, match="RSA"):
        SandboxClient("http://127.0.0.1:1", "platform", secrets.provider_private_key, pem, "http://127.0.0.1/notice")
