"""`python -m sync_server` is `sync-server`."""

from sync_server.cli import main

main()
