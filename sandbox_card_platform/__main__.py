"""`python -m sandbox_card_platform` is `sandbox-card-platform`."""

from sandbox_card_platform.cli import main

main()
