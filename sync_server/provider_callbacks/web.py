"""POST /callbacks/sandbox: the payment provider's signed notices. Forged, doubled, late or changed ones do no harm.

The notice only tells what the provider would answer to a query, so it goes the same way: `transfers.apply_notice`. The
answer `success` ends the provider's retries; anything else makes it try again.
"""

from __future__ import annotations

from flask import Blueprint, Flask, Response, current_app, request

from sync_server.centre import Centre
from sync_server.payments.sandbox_client import NOTICE_PATH, SandboxClient, client_of
from sync_server.payments.transfers import apply_notice

blueprint = Blueprint("provider_callbacks", __name__)


def register(app: Flask, centre: Centre) -> None:
    """Take notices, if the centre knows a provider."""
    if centre.settings.provider_public_key_file is not None:
        app.extensions["sandbox_client"] = client_of(centre)
        app.register_blueprint(blueprint)


@blueprint.post(NOTICE_PATH)
def take_notice() -> Response:
    """One notice."""
    centre: Centre = current_app.extensions["centre"]
    client: SandboxClient = current_app.extensions["sandbox_client"]
    notice = client.read_notice(dict(request.headers), request.get_data())
    if notice is None:
        return Response("not signed by the provider", status=403, content_type="text/plain")
    with centre.write() as connection:
        known = apply_notice(connection, notice.out_no, notice.answer, centre.now_ms())
    if not known:
        return Response("unknown number", status=404, content_type="text/plain")
    return Response("success", content_type="text/plain")
