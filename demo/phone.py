"""A visitor's phone as the demo uses it: a key of its own, and a new code every 15 s with no network (wire.md §3)."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

from cryptography.hazmat.primitives.asymmetric import ec

from wire import holder_proof, presentation


@dataclass(slots=True)
class Phone:
    """Draws codes for one pass once the centre has registered its key under a generation."""

    pass_id: bytes
    generation: int = 0
    _private: ec.EllipticCurvePrivateKey = field(default_factory=lambda: ec.generate_private_key(ec.SECP256R1()))

    @property
    def public(self) -> bytes:
        """What is registered."""
        return holder_proof.public_key_of(self._private)

    @property
    def step(self) -> int:
        """The code that is on the screen now, counted."""
        return presentation.step_at(time.time_ns() // 1_000_000)

    def code(self) -> str:
        """The small form of the code on the screen now."""
        step = self.step
        message = presentation.holder_message(self.pass_id, self.generation, step)
        return presentation.short_text(self.pass_id, step, holder_proof.sign(self._private, message))
