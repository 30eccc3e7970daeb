"""The centre's settings: a TOML file, then `SYNC_SERVER_…` variables, then the command line; the later one wins.

Secrets are not settings: they stand in `secret_file` (mode 0600), which `sync-server init` makes when it is missing.
"""

from __future__ import annotations

import os
import tomllib
from collections.abc import Mapping
from pathlib import Path
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import msgspec
import sqlalchemy as sa

from sync_server.errors import ConfigurationError

PREFIX = "SYNC_SERVER_"


class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One installation serves one city portal."""

    database_url: str
    """`sqlite:///PATH` or `postgresql+psycopg://…`."""
    secret_file: Path
    """Keys for data at rest and for the payment provider; readable by its owner only."""
    base_url: str = "http://127.0.0.1:8000"
    """The address under which gates, people and the payment provider reach this centre."""
    zone: str = "Asia/Shanghai"
    """Where days, weekdays and calendars are counted."""
    portal_name: str = "汴京旅游年票"
    provider_url: str = "http://127.0.0.1:8090"
    """The payment provider's gateway (the sandbox provider until a real one is set up)."""
    provider_app_id: str = "platform"
    """Who the platform is to the provider."""
    provider_public_key_file: Path | None = None
    """The provider's RSA public key (PEM); without it no answer and no notice of the provider is believed."""
    max_body_bytes: int = 2 * 1024 * 1024
    """Largest request body of any page or interface."""


def load_settings(database_url: str | None, file: Path | None, environment: Mapping[str, str] = os.environ) -> Settings:
    """Read the settings; anything unknown, missing or malformed is a ConfigurationError that names it."""
    values: dict[str, object] = {}
    if file is not None:
        try:
            values.update(tomllib.loads(file.read_text(encoding="utf-8")))
        except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
            raise ConfigurationError(f"cannot read the settings file {file}: {error}") from error
    for name in Settings.__struct_fields__:
        if (text := environment.get(PREFIX + name.upper())) is not None:
            values[name] = text
    if database_url is not None:
        values["database_url"] = database_url
    if "database_url" not in values:
        raise ConfigurationError("no database is named: give --database URL, or database_url in the settings file")
    if "secret_file" not in values:
        values["secret_file"] = _secret_file_beside(str(values["database_url"]))
    try:
        settings = msgspec.convert(values, Settings, strict=False, dec_hook=_convert)
    except msgspec.ValidationError as error:
        raise ConfigurationError(f"a setting is wrong: {error}") from error
    try:
        ZoneInfo(settings.zone)
    except (ZoneInfoNotFoundError, ValueError) as error:
        raise ConfigurationError(f"the time zone {settings.zone!r} is unknown: use one like Asia/Shanghai") from error
    return settings


def _convert(kind: type, value: object) -> object:
    """What msgspec cannot read from text by itself."""
    if kind is Path and isinstance(value, str | Path):
        return Path(value)
    raise ValueError(f"{value!r} is no {kind.__name__}")


def _secret_file_beside(database_url: str) -> str:
    """Where the secrets of a SQLite centre lie unless a setting says otherwise: beside the database."""
    try:
        url = sa.make_url(database_url)
    except sa.exc.ArgumentError as error:
        raise ConfigurationError(f"the database address {database_url!r} is not a URL: use sqlite:///PATH") from error
    if url.get_backend_name() != "sqlite" or not url.database:
        raise ConfigurationError("with PostgreSQL the setting secret_file (or SYNC_SERVER_SECRET_FILE) is needed")
    return str(Path(url.database).with_suffix(".secrets"))
