"""`python -m sandbox_provider` is `sandbox-provider`."""

from sandbox_provider.cli import main

main()
