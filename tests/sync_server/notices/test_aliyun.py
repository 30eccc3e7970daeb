"""The client of Aliyun against a gateway over HTTP that checks its signatures by itself, and what both may do wrong."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from urllib.parse import parse_qsl
from uuid import UUID

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sync_server.centre import Centre
from sync_server.errors import ConfigurationError
from sync_server.jobs.messages import sender_of
from sync_server.notices import aliyun, sender
from sync_server.notices.aliyun import GATEWAY_ZONE, AccessKey, Aliyun, authorization, canonical_query, read_key
from sync_server.notices.sender import Answer, Sms
from tests.sync_server.conftest import START_MS, Clock
from tests.sync_server.notices import sms_gateway
from tests.sync_server.notices.desk import ADMIN, Desk, low_stock
from tests.sync_server.notices.sms_gateway import ENDLESS_BYTES, KEY_ID, KEY_SECRET, SIGN_NAME, SmsGateway

KEY = AccessKey(KEY_ID, KEY_SECRET)
DAY_MS = 86_400_000


@pytest.fixture
def gateway(clock: Clock) -> Iterator[SmsGateway]:
    with sms_gateway.running(clock) as made:
        yield made


@pytest.fixture
def client(gateway: SmsGateway, clock: Clock) -> Iterator[Aliyun]:
    made = Aliyun(gateway.url, KEY, SIGN_NAME, clock)
    yield made
    made.close()


def sms(number: int = 1, phone: str = ADMIN, ref: str | None = None, tried_at_ms: int = START_MS) -> Sms:
    values = {"product": "龙亭公园 ~*+/&=%\"'", "left": "3"}
    return Sms(UUID(int=number), "low_stock", "SMS_123", tried_at_ms, phone, values, ref)


def test_the_documented_example_of_a_signature() -> None:
    """The values are those of the documentation of signature V3."""
    headers = {
        "host": "ecs.cn-shanghai.aliyuncs.com",
        "x-acs-action": "RunInstances",
        "x-acs-version": "2014-05-26",
        "x-acs-date": "2023-10-26T10:22:32Z",
        "x-acs-signature-nonce": "3156853299f313e23d1673dc12e1703d",
        "x-acs-content-sha256": "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    }
    query = canonical_query(
        {"RegionId": "cn-shanghai", "ImageId": "win2019_1809_x64_dtc_zh-cn_40G_alibase_20230811.vhd"}
    )
    key = AccessKey("YourAccessKeyId", "YourAccessKeySecret")
    assert authorization(key, "POST", "/", query, headers).endswith(
        "Signature=06563a9e1b43f5dfe96b81484da74bceab24a1d853912eee15083a6f0f3283c0"
    )


@given(st.dictionaries(st.text(min_size=1), st.text(), min_size=1))
def test_every_parameter_arrives_as_it_was(values: dict[str, str]) -> None:
    values = {
        name: value for name, value in values.items() if (name + value).encode(errors="ignore").decode() == name + value
    }
    query = canonical_query(values)
    assert dict(parse_qsl(query, keep_blank_values=True)) == values
    assert query.isascii() and "+" not in query and "*" not in query


def test_a_message_is_taken_once_in_the_words_of_its_template(gateway: SmsGateway, client: Aliyun) -> None:
    answer = client.send(sms())
    assert (answer.event, gateway.refused) == ("accepted", [])
    ((taken,),) = gateway.taken.values()
    assert answer.ref == taken.biz_id
    assert taken.values == {
        "PhoneNumbers": ADMIN,
        "SignName": SIGN_NAME,
        "TemplateCode": "SMS_123",
        "TemplateParam": '{"product":"龙亭公园 ~*+/&=%\\"\'","left":"3"}',
        "OutId": UUID(int=1).hex,
    }


def test_a_number_of_another_country_goes_without_its_plus(gateway: SmsGateway, client: Aliyun) -> None:
    client.send(sms(phone="+85261234567"))
    ((taken,),) = gateway.taken.values()
    assert taken.values["PhoneNumbers"] == "85261234567"
    assert client.ask(sms(phone="+85261234567")).event == "accepted"


@pytest.mark.parametrize(
    ("status", "err_code", "became"),
    [(1, "", Answer("accepted")), (3, "DELIVERED", sender.DELIVERED), (2, "MK:0012", sender.undelivered("MK:0012"))],
)
def test_what_became_of_it(gateway: SmsGateway, client: Aliyun, status: int, err_code: str, became: Answer) -> None:
    for number in (1, 2):
        client.send(sms(number))
    (taken,) = gateway.taken[UUID(int=2).hex]
    taken.status, taken.err_code = status, err_code
    assert client.ask(sms(2, ref=taken.biz_id)) == became
    assert client.ask(sms(2)) == became, "found by our number where its own was lost"
    assert client.ask(sms(1)).event == "accepted"


def test_what_it_never_saw_it_does_not_know(gateway: SmsGateway, client: Aliyun) -> None:
    client.send(sms(1))
    assert client.ask(sms(2)) == sender.NOT_KNOWN


def test_one_is_found_among_many_of_its_number_and_not_without_end(gateway: SmsGateway, client: Aliyun) -> None:
    for number in range(120):
        client.send(sms(number))
    assert client.ask(sms(119)).event == "accepted"
    assert client.ask(sms(999)) == sender.NOT_KNOWN
    for number in range(120, 200):
        client.send(sms(number))
    assert client.ask(sms(999)).event == "unclear"


def test_one_that_was_sent_at_midnight_is_found(gateway: SmsGateway, client: Aliyun, clock: Clock) -> None:
    midnight_ms = round(datetime(2026, 9, 22, tzinfo=GATEWAY_ZONE).timestamp() * 1000)
    clock.now_ms = midnight_ms + 1
    client.send(sms())
    assert client.ask(sms(tried_at_ms=midnight_ms - 2_000)).event == "accepted"
    assert client.ask(sms(tried_at_ms=midnight_ms - DAY_MS)) == sender.NOT_KNOWN


@pytest.mark.parametrize(
    ("fault", "event"),
    [
        ("isv.MOBILE_NUMBER_ILLEGAL", "refused"),
        ("isv.TEMPLATE_PARAMS_ILLEGAL", "refused"),
        ("isv.BUSINESS_LIMIT_CONTROL", "later"),
        ("isv.AMOUNT_NOT_ENOUGH", "later"),
        ("isv.SMS_TEMPLATE_ILLEGAL", "later"),
        ("isp.SYSTEM_ERROR", "unclear"),
        ("lost", "unclear"),
        ("lost_answer", "unclear"),
        ("nonsense", "unclear"),
        ("endless", "unclear"),
        ("redirect", "unclear"),
    ],
)
def test_what_goes_wrong_when_it_is_sent(gateway: SmsGateway, client: Aliyun, fault: str, event: str) -> None:
    gateway.faults.append(fault)
    answer = client.send(sms())
    assert answer.event == event and answer.reason
    assert ADMIN not in answer.reason and "龙亭" not in answer.reason


@pytest.mark.parametrize("fault", ["isp.SYSTEM_ERROR", "isv.AMOUNT_NOT_ENOUGH", "lost", "nonsense", "endless"])
def test_asking_decides_nothing_when_it_goes_wrong(gateway: SmsGateway, client: Aliyun, fault: str) -> None:
    client.send(sms())
    gateway.faults.append(fault)
    assert client.ask(sms()).event == "unclear"


def test_an_answer_without_end_is_cut(gateway: SmsGateway, client: Aliyun) -> None:
    gateway.faults.append("endless")
    client.send(sms())
    assert gateway.streamed_bytes < ENDLESS_BYTES // 4


def test_a_key_that_is_not_ours_sends_nothing_and_may_be_mended(gateway: SmsGateway, clock: Clock) -> None:
    for wrong in (AccessKey(KEY_ID, "another secret"), AccessKey("LTAI-other", KEY_SECRET)):
        other = Aliyun(gateway.url, wrong, SIGN_NAME, clock)
        assert other.send(sms()).event == "later"
        assert other.ask(sms()).event == "unclear"
        other.close()
    assert gateway.taken == {}
    assert gateway.refused == ["SignatureDoesNotMatch"] * 2 + ["InvalidAccessKeyId.NotFound"] * 2
    assert KEY_SECRET not in repr(KEY)


def test_no_two_requests_have_one_nonce(gateway: SmsGateway, client: Aliyun) -> None:
    for number in range(5):
        client.send(sms(number))
    assert len(gateway.nonces) == 5 and gateway.refused == []


def test_nobody_there_took_nothing(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(aliyun, "CALL_TIMEOUT_S", (0.2, 0.2))
    client = Aliyun("http://127.0.0.1:9", KEY, SIGN_NAME, clock)
    assert client.send(sms()).event in {"later", "unclear"}
    client.close()


def test_a_kind_without_a_template_is_not_sent(gateway: SmsGateway, client: Aliyun) -> None:
    bare = Sms(UUID(int=1), "low_stock", None, START_MS, ADMIN, {"product": "x", "left": "1"})
    assert client.send(bare).event == "later"
    assert gateway.requests == []


def test_the_whole_way_with_a_lost_answer_arrives_once(any_centre: Centre, gateway: SmsGateway, clock: Clock) -> None:
    client = Aliyun(gateway.url, KEY, SIGN_NAME, clock)
    desk = Desk(any_centre, clock, client)
    desk.reach(desk.platform, ADMIN)
    desk.template("low_stock", "SMS_123")
    gateway.faults.append("lost_answer")
    desk.promise(low_stock(3))
    desk.turn()
    assert desk.states() == ["SENDING"]
    clock.pass_ms(60_000)
    desk.turn()
    assert desk.states() == ["SENT"]
    ((taken,),) = gateway.taken.values()
    taken.status = 3
    clock.pass_ms(DAY_MS)
    desk.turn()
    assert (desk.states(), gateway.refused) == (["DELIVERED"], [])
    client.close()


@pytest.mark.parametrize(
    ("mode", "text", "says"),
    [
        (0o644, '{"id": "a", "secret": "b"}', "others may read it"),
        (0o600, '{"id": "a"}', "is not"),
        (0o600, '{"id": "a", "secret": "b", "more": 1}', "is not"),
        (0o600, "\xff", "is not"),
        (None, "", "cannot read the access key"),
    ],
)
def test_an_access_key_that_cannot_be_used_is_named(tmp_path: Path, mode: int | None, text: str, says: str) -> None:
    file = tmp_path / "sms.json"
    if mode is not None:
        file.write_bytes(text.encode("latin-1"))
        file.chmod(mode)
    with pytest.raises(ConfigurationError, match=says):
        read_key(file)


def test_the_settings_name_the_sender(centre: Centre, tmp_path: Path) -> None:
    assert isinstance(sender_of(centre), sender.Outbox)
    file = tmp_path / "sms.json"
    file.write_text('{"id": "a", "secret": "b"}')
    file.chmod(0o600)
    named = {"sms_sender": "aliyun", "sms_key_file": file, "sms_sign_name": SIGN_NAME}
    settings = msgspec.structs.replace(centre.settings, **named)
    made = sender_of(Centre(settings, centre.engine, centre.secrets, centre.now_ms))
    assert isinstance(made, Aliyun)
    made.close()
