"""The web process: gunicorn with threads, one process on SQLite, and a READY line once it answers."""

from __future__ import annotations

from typing import Any

import click
import msgspec
import sqlalchemy as sa
from gunicorn.app.base import BaseApplication

from sync_server.errors import ConfigurationError
from sync_server.settings import Settings

THREADS = 16
REQUEST_TIMEOUT_S = 60
GRACEFUL_S = 10


class CentreServer(BaseApplication):
    """Runs until SIGTERM. The application is made in the worker process, so that no connection crosses a fork."""

    def __init__(self, settings: Settings, host: str, port: int, processes: int) -> None:
        if processes > 1 and sa.make_url(settings.database_url).get_backend_name() == "sqlite":
            raise ConfigurationError(
                f"SQLite serves one web process, not {processes}: leave --processes out, or use PostgreSQL"
            )
        self._settings, self._bind, self._processes = settings, f"{host}:{port}", processes
        super().__init__()

    def load_config(self) -> None:
        options: dict[str, Any] = {
            "bind": self._bind,
            "workers": self._processes,
            "worker_class": "gthread",
            "threads": THREADS,
            "timeout": REQUEST_TIMEOUT_S,
            "graceful_timeout": GRACEFUL_S,
            "loglevel": "warning",
            "control_socket_disable": True,
            "post_worker_init": _say_ready,
        }
        for name, value in options.items():
            self.cfg.set(name, value)

    def load(self) -> Any:
        from sync_server.create_app import create_app  # in the worker process only

        return create_app(self._settings)


def _say_ready(worker: Any) -> None:
    """One line on stdout when the first process answers; with --port 0 it is the only place that names the port."""
    if worker.age != 1:
        return
    host, port = worker.sockets[0].getsockname()[:2]
    click.echo(f"READY {msgspec.json.encode({'url': f'http://{host}:{port}'}).decode()}")
