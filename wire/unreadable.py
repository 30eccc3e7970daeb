"""What decoding the bytes of strangers may raise; whoever reads them catches all of it and answers a flaw."""

from __future__ import annotations

import msgspec

UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
"""Not of the shape that was asked for; a text that is no UTF-8; brackets nested without end."""
