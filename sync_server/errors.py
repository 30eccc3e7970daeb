"""The centre's exceptions: each says what is wrong and what to do; expected outcomes are values, not these."""

from __future__ import annotations

from uuid import UUID

EXIT_CHECK_FAILED = 1
EXIT_CONFIGURATION = 78  # sysexits.h EX_CONFIG: systemd does not restart on it (quality.md, seams)


class ConfigurationError(Exception):
    """A setting is missing, unreadable or contradicts another; the command line ends with exit code 78."""


class KeyReusedError(Exception):
    """A key that names one effect came again with another body (money.md I3): refused, nothing was changed."""


class NotFoundError(LookupError):
    """No row of that kind has this number or id."""


class NotAllowedError(Exception):
    """The state of the thing does not allow what was asked; the text names the state."""


class OverdrawnError(NotAllowedError):
    """What is owed to somebody does not cover what would be taken of it; `lacking_fen` says by how much."""

    def __init__(self, code: str, owner: UUID | None, lacking_fen: int) -> None:
        super().__init__(f"account {code} of {owner} lacks {lacking_fen} fen for this")
        self.code, self.owner, self.lacking_fen = code, owner, lacking_fen
