"""The interface to whoever carries short messages, what one may answer, and the sender that keeps them here.

Another implementation: aliyun.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol
from uuid import UUID


@dataclass(frozen=True)
class Sms:
    """A message as a sender gets it. repr shows nothing of whom it is for or what it says."""

    id: UUID
    kind: str
    template_code: str | None
    tried_at_ms: int  # when it was sent last
    phone: str = field(repr=False)
    variables: Mapping[str, str] = field(repr=False)
    ref: str | None = None
    """The sender's number of it, once it took it."""


@dataclass(frozen=True)
class Answer:
    """What is known of a message after a call; `event` is one of `states.MESSAGE`."""

    event: str
    reason: str | None = None
    ref: str | None = None


def accepted(ref: str | None = None) -> Answer:
    """It has it, and is to deliver it."""
    return Answer("accepted", ref=ref)


def refused(reason: str) -> Answer:
    """It will never take it as it is."""
    return Answer("refused", reason)


def later(reason: str) -> Answer:
    """It took nothing; the same may be tried again."""
    return Answer("later", reason)


def unclear(reason: str) -> Answer:
    """Nobody knows whether it has it."""
    return Answer("unclear", reason)


NOT_KNOWN = Answer("not_known", "the gateway does not have it")
DELIVERED = Answer("delivered")


def undelivered(reason: str) -> Answer:
    """It had it, and the network could not deliver it."""
    return Answer("undelivered", reason)


class Sender(Protocol):
    """Neither call raises for what the network or the gateway does, and both are bounded in time."""

    name: str
    tells_delivery: bool
    """Whether it can be asked what became of what it took."""

    def send(self, sms: Sms) -> Answer:
        """Say accepted, refused, later or unclear."""
        ...

    def ask(self, sms: Sms) -> Answer:
        """Say accepted (on its way), delivered, undelivered, not known, or unclear."""
        ...

    def close(self) -> None:
        """Let go of the connections."""
        ...


class Outbox:
    """Where no gateway is set up: messages stay here, for `sync-server message list`, and nothing leaves."""

    name = "outbox"
    tells_delivery = False

    def send(self, sms: Sms) -> Answer:
        return accepted(f"outbox-{sms.id.hex}")

    def ask(self, sms: Sms) -> Answer:
        return accepted(f"outbox-{sms.id.hex}")

    def close(self) -> None:
        """There is nothing to let go of."""
