"""Nothing between gate and centre can hold the gate up, fill its memory or lead it elsewhere."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import closing

import pytest

from gate_agent import centre_client
from gate_agent.centre_client import Answer, Centre
from gate_agent.sync_state import Trouble, TroubleKind
from gate_agent.trusted_time import clocks_of_this_machine
from tests.gate_agent.boxes import HandSetClocks
from tests.gate_agent.small_centre import Fault, SmallCentre

LIMIT = 1000


@pytest.fixture
def centre() -> Iterator[SmallCentre]:
    with SmallCentre() as small:
        yield small


@pytest.fixture
def client(centre: SmallCentre) -> Iterator[Centre]:
    with closing(Centre(centre.url, clocks_of_this_machine())) as opened:
        yield opened


def test_a_redirect_is_an_answer_and_leads_nowhere(centre: SmallCentre, client: Centre) -> None:
    centre.faults.append(Fault.REDIRECT)
    answer = client.exchange("GET", _head_of(centre), LIMIT)
    assert isinstance(answer, Answer)
    assert answer.status == 302
    trouble = centre_client.trouble_of(answer, "a list")
    assert trouble.kind is TroubleKind.NOT_THE_CENTRE
    assert "leading to http://portal.example/login" in trouble.detail
    assert len(centre.requests) == 1


def test_proxies_of_the_environment_are_not_used(
    centre: SmallCentre, client: Centre, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    assert isinstance(client.exchange("GET", _head_of(centre), LIMIT), Answer)


def test_an_answer_is_read_up_to_its_limit_and_no_further(centre: SmallCentre, client: Centre) -> None:
    centre.lists.head = bytes(LIMIT)
    assert isinstance(answer := client.exchange("GET", _head_of(centre), LIMIT), Answer)
    assert len(answer.body) == LIMIT
    centre.lists.head = bytes(LIMIT + 1)
    refused = client.exchange("GET", _head_of(centre), LIMIT)
    assert isinstance(refused, Trouble)
    assert "longer than 1000 bytes" in refused.detail
    centre.faults.append(Fault.ENDLESS)
    assert isinstance(client.exchange("GET", _head_of(centre), LIMIT), Trouble)


def test_an_answer_that_drips_is_given_up(centre: SmallCentre) -> None:
    centre.lists.head = bytes(LIMIT)
    hands = HandSetClocks(per_look_ms=centre_client.ANSWER_LIMIT_MS + 1)
    with closing(Centre(centre.url, hands.clocks())) as client:
        refused = client.exchange("GET", _head_of(centre), LIMIT)
    assert isinstance(refused, Trouble)
    assert "took longer than 60 s" in refused.detail


def test_nobody_there_is_told_without_the_insides_of_libraries() -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as listener:
        port = listener.getsockname()[1]
    with closing(Centre(f"http://127.0.0.1:{port}", clocks_of_this_machine())) as client:
        trouble = client.exchange("GET", "/feed", LIMIT)
    assert isinstance(trouble, Trouble)
    assert trouble.kind is TroubleKind.UNREACHABLE
    assert "Connection refused" in trouble.detail
    assert "object at 0x" not in trouble.detail


def test_a_name_that_does_not_exist_is_told() -> None:
    with closing(Centre("http://no-such-host.invalid", clocks_of_this_machine())) as client:
        trouble = client.exchange("GET", "/feed", LIMIT)
    assert isinstance(trouble, Trouble)
    assert "object at 0x" not in trouble.detail


def _head_of(centre: SmallCentre) -> str:
    return f"/feed/{centre.config.feed_id.hex()}/head"
