"""Data at rest: AES-256-GCM per field bound to its row, keyed blind indexes, and the file that holds the secrets."""

from __future__ import annotations

import hmac
import os
import secrets
import stat
from hashlib import sha256
from pathlib import Path

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from sync_server.errors import ConfigurationError

FORMAT = b"\x01"  # AES-256-GCM under Secrets.encryption_key; another key or cipher gets another byte
NONCE_BYTES = 12
RSA_BITS = 2048


class Secrets(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the secret file holds. It is never logged: repr shows nothing of it."""

    encryption_key: bytes
    index_key: bytes
    session_key: bytes
    """Signs the web sessions (Flask's SECRET_KEY)."""
    provider_private_key: str
    """RSA private key (PEM) that signs the platform's requests to the payment provider."""

    def __repr__(self) -> str:
        return "Secrets(…)"


def make_secrets() -> Secrets:
    """Fresh ones, from the system's source of chance."""
    private = rsa.generate_private_key(public_exponent=65537, key_size=RSA_BITS)
    pem = private.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return Secrets(secrets.token_bytes(32), secrets.token_bytes(32), secrets.token_bytes(32), pem.decode())


def public_key_of(value: Secrets) -> str:
    """The public half (PEM) of the key that signs requests to the payment provider; the provider must know it."""
    private = serialization.load_pem_private_key(value.provider_private_key.encode(), password=None)
    public = private.public_key()
    return public.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo).decode()


def write_secrets(file: Path, value: Secrets) -> None:
    """Write the file with mode 0600; an existing one is never replaced."""
    try:
        descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        raise
    except OSError as error:
        raise ConfigurationError(
            f"cannot write the secret file {file}: {error.strerror}; make its folder first, for who runs sync-server"
        ) from error
    with os.fdopen(descriptor, "wb") as stream:
        stream.write(msgspec.json.format(msgspec.json.encode(value)))
        stream.flush()
        os.fsync(stream.fileno())


def read_secrets(file: Path) -> Secrets:
    """Read the file; one that others may read is refused."""
    try:
        mode = stat.S_IMODE(file.stat().st_mode)
        data = file.read_bytes()
    except OSError as error:
        raise ConfigurationError(
            f"cannot read the secret file {file}: {error.strerror}; run sync-server init once"
        ) from error
    if mode & 0o077:
        raise ConfigurationError(f"the secret file {file} has mode {mode:o}: others may read it; run chmod 600 {file}")
    try:
        return msgspec.json.decode(data, type=Secrets)
    except msgspec.DecodeError as error:
        raise ConfigurationError(f"the secret file {file} is damaged: {error}") from error


def seal(value: Secrets, field: str, row: str | bytes, plain: str) -> bytes:
    """Encrypt one field of one row. `field` is "table.column"; moved to another row or column it does not open."""
    nonce = secrets.token_bytes(NONCE_BYTES)
    return FORMAT + nonce + AESGCM(value.encryption_key).encrypt(nonce, plain.encode(), _binding(field, row))


def unseal(value: Secrets, field: str, row: str | bytes, sealed: bytes) -> str:
    """Decrypt one field; ValueError when it was changed, or sealed for another row."""
    if sealed[:1] != FORMAT:
        raise ValueError(f"{field} of {row!r} is sealed in an unknown format {sealed[:1].hex()!r}")
    nonce, body = sealed[1 : 1 + NONCE_BYTES], sealed[1 + NONCE_BYTES :]
    try:
        return AESGCM(value.encryption_key).decrypt(nonce, body, _binding(field, row)).decode()
    except InvalidTag as error:
        raise ValueError(f"{field} of {row!r} was changed, or sealed for another row or with another key") from error


def derive_key(value: Secrets, purpose: str) -> bytes:
    """A key of 32 bytes for one purpose, the same whenever it is asked for."""
    return HKDF(hashes.SHA256(), 32, salt=None, info=purpose.encode()).derive(value.encryption_key)


def blind_index(value: Secrets, kind: str, plain: str) -> bytes:
    """16 bytes by which an exact value is found without being readable. `kind` (as "id_number") parts the indexes."""
    return hmac.digest(value.index_key, f"{kind}\0{plain}".encode(), sha256)[:16]


def _binding(field: str, row: str | bytes) -> bytes:
    return field.encode() + b"\0" + (row if isinstance(row, bytes) else row.encode())
