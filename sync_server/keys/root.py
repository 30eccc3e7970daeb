"""The root key's private half: one file of its own, needed only while a key set is made, and best kept off-line.

After `sync-server init` the file may be moved to a safe place; bring it back for `sync-server keys create`, `start` and
`revoke`. Nothing that runs day and night (web, worker) ever opens it.
"""

from __future__ import annotations

import os
import secrets
import stat
from pathlib import Path

from sync_server.errors import ConfigurationError
from sync_server.settings import Settings
from wire import signing


def root_key_file(settings: Settings) -> Path:
    """Beside the secret file: `NAME.root-key`."""
    return settings.secret_file.with_suffix(".root-key")


def next_root_file(file: Path) -> Path:
    """Where a new root key waits until its key set is published."""
    return file.with_name(file.name + ".new")


def take_over(file: Path, new_file: Path) -> None:
    """The new root key's file takes the name; the old one stays beside it, for the operator to destroy."""
    number = 1
    while (old := file.with_name(f"{file.name}.old-{number}")).exists():
        number += 1
    if file.exists():
        file.rename(old)
    new_file.rename(file)


def make_root(file: Path) -> bytes:
    """A fresh root key written with mode 0600; an existing file is read, never replaced. Gives the private half."""
    if file.exists():
        return read_root(file)
    private = secrets.token_bytes(signing.PRIVATE_KEY_BYTES)
    descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="ascii") as stream:
        stream.write(private.hex() + "\n")
        stream.flush()
        os.fsync(stream.fileno())
    return private


def read_root(file: Path) -> bytes:
    """The private half; a missing, damaged or readable-by-others file is a ConfigurationError."""
    try:
        mode = stat.S_IMODE(file.stat().st_mode)
        text = file.read_text(encoding="ascii")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(
            f"cannot read the root key file {file}: {error}; it is kept off-line, so bring it back for this command"
        ) from error
    if mode & 0o077:
        raise ConfigurationError(
            f"the root key file {file} has mode {mode:o}: others may read it; run chmod 600 {file}"
        )
    try:
        private = bytes.fromhex(text)
    except ValueError:
        private = b""
    if len(private) != signing.PRIVATE_KEY_BYTES:
        raise ConfigurationError(f"the root key file {file} is damaged: it should hold 64 hexadecimal digits")
    return private
