"""POST /callbacks/sandbox: the sandbox provider's signed notices."""

from __future__ import annotations

from flask import Blueprint, Flask

from sync_server.centre import Centre

blueprint = Blueprint("provider_callbacks", __name__, url_prefix="/callbacks")


def register(app: Flask, centre: Centre) -> None:  # noqa: ARG001  every web folder registers alike
    app.register_blueprint(blueprint)
