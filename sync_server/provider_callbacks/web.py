"""POST /callbacks/alipay, /callbacks/huijinbao: what the providers tell unasked. Forged or doubled, it does no harm.

The notice only tells what the provider would answer to a query, so it goes the same way: `applying.apply_notice`. The
answer `success` ends the provider's retries; anything else makes it try again.
"""

from __future__ import annotations

from flask import Blueprint, Flask, Response, abort, current_app, request

from sync_server.centre import Centre
from sync_server.payments.applying import apply_notice
from sync_server.payments.providers import clients_of

blueprint = Blueprint("provider_callbacks", __name__)


def register(app: Flask, centre: Centre) -> None:  # noqa: ARG001  every web folder registers alike
    """Take notices; those of a provider that the settings do not describe are not found."""
    app.register_blueprint(blueprint)


@blueprint.post("/callbacks/<any(alipay, huijinbao):name>")
def take_notice(name: str) -> Response:
    """One notice."""
    centre: Centre = current_app.extensions["centre"]
    provider = name.upper()
    with clients_of(centre) as clients:
        if provider not in clients:
            abort(404)
        notice = clients[provider].read_notice(dict(request.headers), request.get_data())
    if notice is None:
        return Response("not signed by the provider", status=403, content_type="text/plain")
    with centre.write() as connection:
        known = apply_notice(connection, provider, notice.out_no, notice.answer, centre.now_ms())
    if not known:
        return Response("unknown number", status=404, content_type="text/plain")
    return Response("success", content_type="text/plain")
