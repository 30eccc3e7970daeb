"""The certificate by which the staff's tablets know this box, and whether its address is there (docs/operate.md)."""

from __future__ import annotations

import socket
import ssl
from datetime import datetime
from pathlib import Path

MAX_PEM_BYTES = 256 * 1024
OTHERS_MASK = 0o077


class TlsFault(Exception):
    """A certificate or key that cannot be used; a sentence that says what to do."""


def load(cert: Path, key: Path) -> ssl.SSLContext:
    """The server's side of TLS 1.2 and 1.3 with this chain (own certificate first) and key. Raises TlsFault."""
    _read("screen.tls_cert", cert)
    _read("screen.tls_key", key)
    mode = key.stat().st_mode
    if mode & OTHERS_MASK:
        raise TlsFault(f"screen.tls_key: others may read {key} (mode {mode & 0o777:04o}): chmod 600 it")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["http/1.1"])
    try:
        context.load_cert_chain(cert, key, password=lambda: "")  # a key with a password would ask at a terminal
    except (ssl.SSLError, OSError) as error:
        hint = "both must be PEM, the key without a password and the one of the first certificate"
        raise TlsFault(f"{cert} and {key} cannot be used together ({error}): {hint}") from error
    return context


def ends_at(cert: Path) -> datetime:
    """Until when tablets believe the first certificate of the file. Raises TlsFault."""
    from cryptography import x509

    try:
        return x509.load_pem_x509_certificate(_read("screen.tls_cert", cert)).not_valid_after_utc
    except ValueError as error:
        raise TlsFault(f"screen.tls_cert: {cert} is no PEM certificate ({error})") from error


def is_of_this_machine(host: str) -> bool:
    """Whether one of this machine's interfaces has the address now."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as trying:
        try:
            trying.bind((host, 0))
        except OSError:
            return False
    return True


def _read(what: str, path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(MAX_PEM_BYTES)
    except OSError as error:
        raise TlsFault(f"{what}: {path} cannot be read ({error.strerror}): name a file this user may read") from error
