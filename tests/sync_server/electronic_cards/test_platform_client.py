"""The card platform's client against the real stand-in: what is believed, what is not, and how long it may take."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog

from sandbox_card_platform.faults import FaultKind
from sync_server.centre import Centre
from sync_server.electronic_cards.platform_client import MAX_AT_ONCE, PlatformClient, read_secret, verifier_of
from sync_server.electronic_cards.verifier import CardHolder, EssCardVerifier, NoPlatform
from sync_server.errors import ConfigurationError
from tests.sync_server.card_platform import TTL_MS, CardPlatform, running, with_platform
from tests.sync_server.conftest import Clock
from wire.electronic_card import Finding

LI = "11010519491231002X"


@pytest.fixture
def platform(tmp_path: Path, clock: Clock) -> Iterator[CardPlatform]:
    with running(tmp_path, clock) as made:
        yield made


@pytest.fixture
def verifier(centre: Centre, platform: CardPlatform) -> Iterator[EssCardVerifier]:
    made = verifier_of(with_platform(centre, platform))
    yield made
    made.close()


def test_a_code_tells_whose_it_is_once(verifier: EssCardVerifier, platform: CardPlatform) -> None:
    code = platform.draw(LI, "410200D156000005")
    assert verifier.resolve(code) == CardHolder(LI, "410200D156000005")
    assert verifier.resolve(code) is Finding.USED
    assert verifier.resolve("SSC1" + "x" * 24) is Finding.UNKNOWN


def test_a_code_that_is_over_tells_nothing(verifier: EssCardVerifier, platform: CardPlatform, clock: Clock) -> None:
    code = platform.draw(LI)
    clock.pass_ms(TTL_MS)
    assert verifier.resolve(code) is Finding.EXPIRED


@pytest.mark.parametrize(
    "fault",
    [FaultKind.DOWN, FaultKind.WRONG_SIGNATURE, FaultKind.OTHER_ANSWER, FaultKind.NONSENSE, FaultKind.ENDLESS],
)
def test_nothing_is_believed_that_the_platform_did_not_sign_for_this_question(
    verifier: EssCardVerifier, platform: CardPlatform, fault: FaultKind
) -> None:
    platform.play(fault)
    assert verifier.resolve(platform.draw(LI)) is Finding.UNREACHABLE
    assert verifier.resolve(platform.draw(LI)) == CardHolder(LI), "the next question is answered as if nothing was"


@pytest.mark.slow
def test_a_slow_platform_is_waited_for_no_longer_than_a_gate_would(
    verifier: EssCardVerifier, platform: CardPlatform
) -> None:
    platform.play(FaultKind.SLOW, delay_ms=30_000)
    assert verifier.resolve(platform.draw(LI)) is Finding.UNREACHABLE


def test_a_platform_that_is_away_is_unreachable(platform: CardPlatform, clock: Clock) -> None:
    platform.stop()
    client = PlatformClient(platform.url, "platform", read_secret(platform.key_file), clock)
    assert client.resolve("SSC1" + "x" * 24) is Finding.UNREACHABLE
    client.close()


def test_few_questions_are_asked_at_once_and_the_others_told_so_at_once(platform: CardPlatform) -> None:
    under_way, go_on = threading.Semaphore(0), threading.Event()

    def hold() -> int:
        """The client's clock, which it looks at with every question."""
        under_way.release()
        go_on.wait()
        return 0

    client = PlatformClient(platform.url, "platform", read_secret(platform.key_file), hold)
    codes = [platform.draw(f"{n:018}") for n in range(MAX_AT_ONCE)]
    found: list[CardHolder | Finding] = []
    threads = [threading.Thread(target=lambda code=code: found.append(client.resolve(code))) for code in codes]
    for thread in threads:
        thread.start()
    for _ in threads:
        assert under_way.acquire(timeout=10)
    assert client.resolve(platform.draw(LI)) is Finding.UNREACHABLE
    go_on.set()
    for thread in threads:
        thread.join()
    assert len(found) == MAX_AT_ONCE
    assert isinstance(client.resolve(platform.draw(LI)), CardHolder)
    client.close()


def test_no_log_tells_whose_card_it_was(
    verifier: EssCardVerifier, platform: CardPlatform, caplog: pytest.LogCaptureFixture
) -> None:
    code = platform.draw(LI)
    with structlog.testing.capture_logs() as logged, caplog.at_level(logging.DEBUG):
        platform.play(FaultKind.WRONG_SIGNATURE)
        verifier.resolve(code)
        holder = verifier.resolve(platform.draw(LI))
    assert logged
    said = f"{logged} {caplog.text} {holder!r}"
    assert LI not in said
    assert code not in said


def test_without_a_platform_nothing_can_be_resolved(centre: Centre) -> None:
    verifier = verifier_of(centre)
    assert isinstance(verifier, NoPlatform)
    assert verifier.resolve("SSC1") is Finding.UNREACHABLE


@pytest.mark.parametrize(
    ("text", "mode", "sentence"),
    [
        ("ab" * 32, 0o644, "chmod 600"),
        ("ab" * 8, 0o600, "at least 16 bytes"),
        ("no hex at all", 0o600, "at least 16 bytes"),
        (None, 0, "cannot read"),
    ],
)
def test_a_secret_that_cannot_be_used_is_named(tmp_path: Path, text: str | None, mode: int, sentence: str) -> None:
    file = tmp_path / "key"
    if text is not None:
        file.write_text(text)
        file.chmod(mode)
    with pytest.raises(ConfigurationError, match=sentence):
        read_secret(file)
