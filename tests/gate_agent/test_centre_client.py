"""Nothing between gate and centre can hold the gate up, fill its memory or lead it elsewhere."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import closing, suppress

import pytest

from gate_agent import centre_client
from gate_agent.centre_client import Answer, Centre
from gate_agent.sync_state import LinkTrouble, TroubleKind
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
    assert isinstance(refused, LinkTrouble)
    assert "longer than 1000 bytes" in refused.detail
    centre.faults.append(Fault.ENDLESS)
    assert isinstance(client.exchange("GET", _head_of(centre), LIMIT), LinkTrouble)


def test_an_answer_that_drips_is_given_up(centre: SmallCentre) -> None:
    centre.lists.head = bytes(LIMIT)
    hands = HandSetClocks(per_look_ms=centre_client.USUAL_PATIENCE.answer_ms + 1)
    with closing(Centre(centre.url, hands.clocks())) as client:
        refused = client.exchange("GET", _head_of(centre), LIMIT)
    assert isinstance(refused, LinkTrouble)
    assert "took longer than 60000 ms" in refused.detail


def test_nobody_there_is_told_without_the_insides_of_libraries() -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as listener:
        port = listener.getsockname()[1]
    with closing(Centre(f"http://127.0.0.1:{port}", clocks_of_this_machine())) as client:
        trouble = client.exchange("GET", "/feed", LIMIT)
    assert isinstance(trouble, LinkTrouble)
    assert trouble.kind is TroubleKind.UNREACHABLE
    assert "Connection refused" in trouble.detail
    assert "object at 0x" not in trouble.detail


def test_a_name_that_does_not_exist_is_told() -> None:
    with closing(Centre("http://no-such-host.invalid", clocks_of_this_machine())) as client:
        trouble = client.exchange("GET", "/feed", LIMIT)
    assert isinstance(trouble, LinkTrouble)
    assert "object at 0x" not in trouble.detail


def test_an_error_page_of_brackets_without_end_is_no_answer_of_the_centre() -> None:
    told = centre_client.trouble_of(Answer(500, {}, b"[" * 4096, 0, 0), "the list's head")
    assert told.kind is TroubleKind.NOT_THE_CENTRE


GARBAGE = {
    "nothing": b"",
    "no HTTP": b"SSH-2.0-OpenSSH_9.2\r\n",
    "zeros": bytes(100_000),
    "a status that is no number": b"HTTP/1.1 OK\r\n\r\n",
    "a header without a colon": b"HTTP/1.1 200 OK\r\nhello\r\n\r\nbody",
    "an endless header": b"HTTP/1.1 200 OK\r\nX: " + b"x" * 200_000,
    "a thousand headers": b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 1000 + b"\r\n",
    "a length below nothing": b"HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\nbody",
    "a length that is no number": b"HTTP/1.1 200 OK\r\nContent-Length: many\r\n\r\nbody",
    "a body cut short": b"HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\nbody",
    "broken chunks": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nbody\r\n",
    "a chunk cut short": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nff\r\nbody",
    "false packing": b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 4\r\n\r\nbody",
    "text that is no text": b"HTTP/1.1 200 \xff\xfe\r\nX: \xff\r\nContent-Length: 4\r\n\r\nbody",
    "a cookie": b"HTTP/1.1 200 OK\r\nSet-Cookie: a=b\r\nContent-Length: 4\r\n\r\nbody",
}


@pytest.mark.parametrize("garbage", GARBAGE)
def test_whatever_answers_the_result_is_a_value(garbage: str) -> None:
    heard: list[bytes] = []
    with closing(socket.create_server(("127.0.0.1", 0))) as listener:
        port = listener.getsockname()[1]

        def answer_twice() -> None:
            while len(heard) < 2:
                with closing(listener.accept()[0]) as connection, suppress(OSError):  # the gate has enough and hangs up
                    heard.append(connection.recv(65_536))
                    connection.sendall(GARBAGE[garbage])
                    connection.shutdown(socket.SHUT_WR)
                    if more := connection.recv(65_536):  # the next question, asked before the end was noticed
                        heard.append(more)

        answering = threading.Thread(target=answer_twice, daemon=True)
        answering.start()
        with closing(Centre(f"http://127.0.0.1:{port}", clocks_of_this_machine())) as client:
            for _ in range(2):
                result = client.exchange("GET", "/feed", LIMIT)
                assert isinstance(result, LinkTrouble) or result.body in (b"", b"body")
        answering.join(10)
    assert len(heard) == 2
    assert b"cookie" not in heard[1].lower()


def _head_of(centre: SmallCentre) -> str:
    return f"/feed/{centre.config.feed_id.hex()}/head"
