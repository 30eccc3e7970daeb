"""Sealed fields, blind indexes, and the file of the secrets."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from sync_server import crypto
from sync_server.errors import ConfigurationError


def test_a_sealed_field_opens_only_in_its_own_row_and_column_under_its_own_key(secrets: crypto.Secrets) -> None:
    sealed = crypto.seal(secrets, "holder.name", "row-1", "李小花")
    assert "李小花".encode() not in sealed
    assert crypto.unseal(secrets, "holder.name", "row-1", sealed) == "李小花"
    other = msgspec.structs.replace(secrets, encryption_key=bytes(32))
    changed = sealed[:-1] + bytes([sealed[-1] ^ 1])
    for value, field, row, data in (
        (secrets, "holder.name", "row-2", sealed),
        (secrets, "holder.phone", "row-1", sealed),
        (other, "holder.name", "row-1", sealed),
        (secrets, "holder.name", "row-1", changed),
        (secrets, "holder.name", "row-1", b"\x02" + sealed[1:]),
    ):
        with pytest.raises(ValueError, match="holder"):
            crypto.unseal(value, field, row, data)


def test_the_same_text_is_sealed_differently_each_time(secrets: crypto.Secrets) -> None:
    assert len({crypto.seal(secrets, "t.c", "r", "x") for _ in range(20)}) == 20


def test_a_blind_index_is_keyed_and_parted_by_kind(secrets: crypto.Secrets) -> None:
    index = crypto.blind_index(secrets, "phone", "13800000000")
    assert index == crypto.blind_index(secrets, "phone", "13800000000")
    other = msgspec.structs.replace(secrets, index_key=bytes(32))
    assert index != crypto.blind_index(secrets, "id_number", "13800000000")
    assert index != crypto.blind_index(other, "phone", "13800000000")


def test_the_secret_file_is_its_owners_alone_and_never_replaced(tmp_path: Path, secrets: crypto.Secrets) -> None:
    file = tmp_path / "centre.secrets"
    crypto.write_secrets(file, secrets)
    assert file.stat().st_mode & 0o777 == 0o600
    assert crypto.read_secrets(file) == secrets
    with pytest.raises(FileExistsError):
        crypto.write_secrets(file, secrets)
    file.chmod(0o640)
    with pytest.raises(ConfigurationError, match="chmod 600"):
        crypto.read_secrets(file)


def test_a_damaged_or_missing_secret_file_is_named(tmp_path: Path) -> None:
    file = tmp_path / "centre.secrets"
    with pytest.raises(ConfigurationError, match="run sync-server init"):
        crypto.read_secrets(file)
    file.write_text("{}")
    file.chmod(0o600)
    with pytest.raises(ConfigurationError, match="damaged"):
        crypto.read_secrets(file)


def test_secrets_do_not_show_themselves(secrets: crypto.Secrets) -> None:
    assert repr(secrets) == "Secrets(…)"
    assert "PRIVATE" not in f"{secrets}"
