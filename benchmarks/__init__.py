"""How fast, and against what: each benchmark measures its own floor or peer in the same run and reports the ratio."""
