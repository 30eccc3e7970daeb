"""A visitor's phone, for tests: it holds a key for a pass and draws rotating codes, as the page does with WebCrypto."""

from __future__ import annotations

from dataclasses import dataclass, replace

from cryptography.hazmat.primitives.asymmetric import ec

from tests.wire import samples
from wire import holder_proof, presentation
from wire.feed import HolderKey
from wire.token import Claims


@dataclass(frozen=True)
class Phone:
    """One key of one pass. `clock_off_ms`: how far its clock is ahead."""

    claims: Claims
    generation: int
    private: ec.EllipticCurvePrivateKey
    clock_off_ms: int = 0

    @property
    def key(self) -> HolderKey:
        """As the list carries it."""
        return HolderKey(self.generation, holder_proof.public_key_of(self.private))

    def short(self, at_ms: int) -> str:
        """The short code it shows at that time."""
        step = presentation.step_at(at_ms + self.clock_off_ms)
        return presentation.short_text(self.claims.pass_id, step, self._proof(step))

    def full(self, at_ms: int, issued_version: int | None = None, signer: bytes = samples.PASS) -> str:
        """The full code it shows at that time; `issued_version`: of the binding, if not that of the token."""
        step = presentation.step_at(at_ms + self.clock_off_ms)
        version = self.claims.issued_version if issued_version is None else issued_version
        claims = replace(self.claims, issued_version=version)
        binding = presentation.bind_holder(claims, samples.PASS_KEY_ID, signer, self.generation, self.key.public)
        return presentation.full_text(binding, step, self._proof(step))

    def _proof(self, step: int) -> bytes:
        return holder_proof.sign(self.private, presentation.holder_message(self.claims.pass_id, self.generation, step))
