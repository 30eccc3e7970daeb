"""The interface to a platform of electronic cards, and what one may answer. Implementation: platform_client."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol

from wire.electronic_card import Finding


@dataclass(frozen=True)
class CardHolder:
    """Whose code it is, by ID number, by card identification code, or both. Never logged: repr shows nothing of it."""

    id_number: str | None = field(default=None, repr=False)
    identification: str | None = field(default=None, repr=False)


class EssCardVerifier(Protocol):
    """Resolves codes of electronic social-security cards. Asking uses a code up; it is never asked about twice."""

    def resolve(self, code: str) -> CardHolder | Finding:
        """Whose code this is, or why nobody knows. Never raises for what platform or network do; bounded in time."""
        ...

    def close(self) -> None:
        """Let go of the connections."""
        ...


class NoPlatform:
    """Where none is set up: no code can be resolved."""

    def resolve(self, code: str) -> Finding:
        return Finding.UNREACHABLE

    def close(self) -> None:
        """There is nothing to let go of."""
