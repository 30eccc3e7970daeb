"""The centre's settings: a TOML file, then `SYNC_SERVER_…` variables, then the command line; the later one wins.

Secrets are not settings: they stand in `secret_file` (mode 0600), which `sync-server init` makes when it is missing.
"""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import msgspec
import sqlalchemy as sa

from sync_server.errors import ConfigurationError
from sync_server.proxies import networks_of
from wire.electronic_card import Characters, CodeShape

PREFIX = "SYNC_SERVER_"
LOOPBACK = ("127.0.0.1", "::1", "localhost")
_ADDRESS = re.compile(r"https?://[^/?#\s]+(/[^?#\s]*[^/?#\s])?")


class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One installation serves one city portal."""

    database_url: str
    """`sqlite:///PATH` or `postgresql+psycopg://…`."""
    secret_file: Path
    """Keys for data at rest and for the payment provider; readable by its owner only."""
    base_url: str = "http://127.0.0.1:8000"
    """The address under which gates, people and the payment provider reach this centre."""
    feed_url: str = ""
    """Where gates fetch their lists, a cache or a CDN in front of this centre; empty: at `base_url` as all the rest."""
    zone: str = "Asia/Shanghai"
    """Where days, weekdays and calendars are counted."""
    portal_name: str = "汴京旅游年票"
    provider_url: str = "http://127.0.0.1:8090"
    """Where the payment providers' stand-ins are, one under /alipay and one under /huijinbao."""
    provider_app_id: str = "platform"
    """Who the platform is to the provider."""
    provider_public_key_file: Path | None = None
    """The provider's RSA public key (PEM); without it no answer and no notice of the provider is believed."""
    alipay_app_id: str | None = None
    """The application at Alipay; without it Alipay's stand-in at `provider_url` is used."""
    alipay_seller_id: str = ""
    """The platform's own account there, 2088…: nothing is believed that was paid to another."""
    alipay_public_key_file: Path | None = None
    """Alipay's RSA public key for this application, as Alipay shows it or in PEM."""
    alipay_gateway: str = "https://openapi.alipay.com/gateway.do"
    """Alipay's gateway."""
    alipay_cashier: Literal["wap", "page", "qr"] = "wap"
    """What a visitor opens to pay: a page for phones, a page for desks, or a code to scan."""
    card_platform_url: str | None = None
    """Where codes of electronic social-security cards are resolved; without it no venue takes any."""
    card_platform_app_id: str = "platform"
    """Who the centre is to that platform."""
    card_platform_key_file: Path | None = None
    """The secret shared with it: hex, in a file of mode 0600."""
    card_code_shape: str = "SSC1 28-28 alphanumeric"
    """How its codes look: prefix, shortest and longest length, characters behind the prefix; see `code_shape`."""
    sms_sender: Literal["outbox", "aliyun"] = "outbox"
    """Who carries short messages; outbox: nobody, they stay in the centre."""
    sms_url: str = "https://dysmsapi.aliyuncs.com"
    """The gateway for short messages."""
    sms_key_file: Path | None = None
    """Its access key: JSON {"id", "secret"} in a file of mode 0600."""
    sms_sign_name: str = ""
    """The registered signature 短信签名 that stands before each message."""
    gate_silent_after_s: Annotated[int, msgspec.Meta(ge=60)] = 300
    """A gate that was not heard for so long while its venue is open calls for an operator; it speaks every minute."""
    transfer_late_after_h: Annotated[int, msgspec.Meta(ge=1)] = 24
    """A payout, refund or fund move that is not through after so many hours calls for an operator."""
    low_stock_percent: Annotated[int, msgspec.Meta(ge=0, le=100)] = 10
    """A product of which so much of its stock is left, or less, calls for an operator."""
    gate_ca_file: Path | None = None
    """The CA (PEM) behind the centre's own certificate, which enrolment codes carry; none: a public one."""
    pdf_font_file: Path = Path("/usr/share/fonts/truetype/wqy/wqy-zenhei.ttc")
    """A TrueType font with Chinese letters, which statements in PDF carry (Debian: fonts-wqy-zenhei)."""
    trusted_proxies: str = ""
    """Addresses or networks of reverse proxies whose X-Forwarded-For is believed, apart by spaces; none: nobody's."""
    max_body_bytes: int = 2 * 1024 * 1024
    """Largest request body of any page or interface."""

    @property
    def code_shape(self) -> CodeShape | None:
        """How codes of electronic cards look, or None where there is no platform to resolve them."""
        return None if self.card_platform_url is None else _shape_of(self.card_code_shape)


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
    if settings.alipay_app_id is not None:
        _check_alipay(settings)
    if settings.card_platform_url is not None:
        _check_card_platform(settings.card_platform_url, settings)
    if settings.sms_sender != "outbox":
        _check_sms(settings)
    if settings.feed_url and not _ADDRESS.fullmatch(settings.feed_url):
        raise ConfigurationError(f"feed_url {settings.feed_url!r} is no address: use http(s)://HOST[:PORT][/PATH]")
    try:
        networks_of(settings.trusted_proxies)
    except ValueError as error:
        raise ConfigurationError(f"trusted_proxies: {error}; write addresses or networks as 10.0.0.0/8") from error
    return settings


def _check_alipay(settings: Settings) -> None:
    """Money is asked for in the clear inside one machine at most."""
    parts = urlsplit(settings.alipay_gateway)
    if parts.scheme != "https" and not (parts.scheme == "http" and parts.hostname in LOOPBACK):
        raise ConfigurationError(f"alipay_gateway is {settings.alipay_gateway!r}: use https")
    if not re.fullmatch(r"2088[0-9]{12}", settings.alipay_seller_id):
        raise ConfigurationError("alipay_seller_id names the platform's account at Alipay: 16 digits from 2088 on")
    if settings.alipay_public_key_file is None:
        raise ConfigurationError("alipay_public_key_file is missing: it names Alipay's public key for the application")


def _check_card_platform(url: str, settings: Settings) -> None:
    """ID numbers come from there: in the clear they travel inside one machine at most."""
    parts = urlsplit(url)
    if parts.scheme != "https" and not (parts.scheme == "http" and parts.hostname in LOOPBACK):
        raise ConfigurationError(f"card_platform_url is {url!r}: use https, for people's ID numbers come from there")
    if settings.card_platform_key_file is None:
        raise ConfigurationError("card_platform_key_file is missing: it names the secret shared with the card platform")
    _shape_of(settings.card_code_shape)


def _check_sms(settings: Settings) -> None:
    """Numbers and sign-in codes go there: in the clear they travel inside one machine at most."""
    parts = urlsplit(settings.sms_url)
    if parts.scheme != "https" and not (parts.scheme == "http" and parts.hostname in LOOPBACK):
        raise ConfigurationError(f"sms_url is {settings.sms_url!r}: use https, for phone numbers and codes go there")
    if settings.sms_key_file is None or not settings.sms_sign_name:
        raise ConfigurationError(f"sms_sender {settings.sms_sender} needs sms_key_file and sms_sign_name")


def _shape_of(text: str) -> CodeShape:
    """E.g. "SSC1 28-28 alphanumeric"."""
    found = re.fullmatch(r"(\S+) ([0-9]+)-([0-9]+) ([a-z]+)", text)
    if found is None:
        raise ConfigurationError(
            f"card_code_shape is {text!r}: write prefix, lengths and kind as SSC1 28-28 alphanumeric"
        )
    prefix, shortest, longest, characters = found.groups()
    said = {"prefix": prefix, "shortest": int(shortest), "longest": int(longest), "characters": characters}
    try:
        return msgspec.convert(said, CodeShape)
    except msgspec.ValidationError as error:
        kinds = ", ".join(Characters)
        raise ConfigurationError(f"card_code_shape {text!r} cannot be: {error}; kinds are {kinds}") from error


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
