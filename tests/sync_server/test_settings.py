"""Where settings come from, and what a wrong one says."""

from __future__ import annotations

from pathlib import Path

import pytest

from sync_server.errors import ConfigurationError
from sync_server.settings import load_settings

SMS = 'sms_sender = "aliyun"\nsms_key_file = "sms.json"\nsms_sign_name = "汴京旅游"\n'
CARDS = 'card_platform_url = "http://127.0.0.1:8091"\ncard_platform_key_file = "cards.key"\n'
ALIPAY = 'alipay_app_id = "1"\nalipay_seller_id = "2088000000000001"\nalipay_public_key_file = "a.pem"\n'


def test_the_later_source_wins(tmp_path: Path) -> None:
    file = tmp_path / "centre.toml"
    file.write_text('database_url = "sqlite:///a.db"\nportal_name = "文件"\nmax_body_bytes = 1000\n')
    environment = {"SYNC_SERVER_PORTAL_NAME": "环境", "SYNC_SERVER_MAX_BODY_BYTES": "2000", "OTHER": "x"}
    settings = load_settings("sqlite:///b.db", file, environment)
    assert (settings.database_url, settings.portal_name, settings.max_body_bytes) == ("sqlite:///b.db", "环境", 2000)
    assert settings.secret_file == Path("b.secrets")


@pytest.mark.parametrize(
    ("url", "text", "environment", "says"),
    [
        (None, "", {}, "no database is named"),
        ("sqlite:///a.db", "databse_url = 1", {}, "databse_url"),
        ("sqlite:///a.db", "portal_name = 1", {}, "portal_name"),
        ("sqlite:///a.db", "[", {}, "cannot read the settings file"),
        ("sqlite:///a.db", "", {"SYNC_SERVER_ZONE": "Mars/Olympus"}, "Mars/Olympus"),
        ("sqlite:///a.db", "", {"SYNC_SERVER_MAX_BODY_BYTES": "many"}, "max_body_bytes"),
        ("sqlite:///a.db", 'card_platform_url = "http://cards.example"', {}, "use https"),
        ("sqlite:///a.db", 'card_platform_url = "cards.example"', {}, "use https"),
        ("sqlite:///a.db", 'card_platform_url = "https://cards.example"', {}, "card_platform_key_file"),
        ("sqlite:///a.db", CARDS + 'card_code_shape = "SSC1"', {}, "SSC1 28-28 alphanumeric"),
        ("sqlite:///a.db", CARDS + 'card_code_shape = "GATE:1 28-28 digits"', {}, "our own codes"),
        ("sqlite:///a.db", CARDS + 'card_code_shape = "SSC1 28-28 emoji"', {}, "digits, alphanumeric, printable"),
        ("sqlite:///a.db", 'sms_sender = "pigeon"', {}, "pigeon"),
        ("sqlite:///a.db", 'sms_sender = "aliyun"', {}, "needs sms_key_file and sms_sign_name"),
        ("sqlite:///a.db", 'sms_sender = "aliyun"\nsms_key_file = "k"', {}, "needs sms_key_file and sms_sign_name"),
        ("sqlite:///a.db", SMS + 'sms_url = "http://sms.example"', {}, "use https"),
        ("sqlite:///a.db", 'trusted_proxies = "127.0.0.1 nginx"', {}, "trusted_proxies: 'nginx'"),
        ("sqlite:///a.db", "", {"SYNC_SERVER_FEED_URL": "cache.example"}, "feed_url 'cache.example'"),
        ("sqlite:///a.db", 'feed_url = "https://cache.example/lists/"', {}, "feed_url"),
        ("sqlite:///a.db", ALIPAY + 'alipay_gateway = "http://alipay.example/"', {}, "use https"),
        ("sqlite:///a.db", 'alipay_app_id = "1"', {}, "alipay_seller_id"),
        ("sqlite:///a.db", 'alipay_app_id = "1"\nalipay_seller_id = "2088000000000001"', {}, "alipay_public_key_file"),
        ("sqlite:///a.db", ALIPAY + 'alipay_cashier = "cash"', {}, "alipay_cashier"),
        ("postgresql+psycopg://h/d", "", {}, "secret_file"),
        ("nonsense", "", {}, "not a URL"),
    ],
)
def test_a_wrong_setting_is_named(
    tmp_path: Path, url: str | None, text: str, environment: dict[str, str], says: str
) -> None:
    file = tmp_path / "centre.toml"
    file.write_text(text)
    with pytest.raises(ConfigurationError, match=says):
        load_settings(url, file, environment)


def test_lists_may_come_from_another_address() -> None:
    environment = {"SYNC_SERVER_FEED_URL": "https://cache.example:8443/lists"}
    assert load_settings("sqlite:///a.db", None, environment).feed_url == "https://cache.example:8443/lists"


def test_postgresql_takes_the_secret_file_that_is_named() -> None:
    settings = load_settings("postgresql+psycopg://h/d", None, {"SYNC_SERVER_SECRET_FILE": "/etc/centre.secrets"})
    assert settings.secret_file == Path("/etc/centre.secrets")


def test_codes_of_electronic_cards_look_as_the_settings_say(tmp_path: Path) -> None:
    file = tmp_path / "centre.toml"
    file.write_text(CARDS + 'card_code_shape = "https://card.example/ 30-80 printable"')
    shape = load_settings("sqlite:///a.db", file, {}).code_shape
    assert shape is not None and (shape.prefix, shape.shortest, shape.longest) == ("https://card.example/", 30, 80)
    assert load_settings("sqlite:///a.db", None, {}).code_shape is None


def test_a_missing_settings_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"none\.toml"):
        load_settings("sqlite:///a.db", tmp_path / "none.toml", {})
