"""Worker step: passes whose code was signed by a key that is revoked get a new code under the key that signs now."""

from __future__ import annotations

from dataclasses import replace

import sqlalchemy as sa

from sync_server.audit.log import record
from sync_server.centre import Centre
from sync_server.errors import NotAllowedError
from sync_server.issuance.passes import relist
from sync_server.issuance.tables import holder_key, issued_pass, pass_token
from sync_server.issuance.versions import BELIEVED_LISTED_ALONE, next_listed
from sync_server.keys.pairs import open_pass_key
from sync_server.keys.tables import signing_key
from wire import moments
from wire.keyset import KeyState
from wire.token import MAX_ISSUE, evidence_of, sign_token, unverified_claims

ACTOR = "system:issuance"
MAX_REISSUED_PER_STEP = 500


def reissue_revoked(centre: Centre) -> int:
    """Sign anew what a revoked key had signed; how many codes. Phones are bound anew by their own step.

    The issue number rises, so that lists name the new code as the lowest that counts; ended passes stay as they are.
    """
    shown = sa.and_(pass_token.c.pass_id == issued_pass.c.id, pass_token.c.issue == issued_pass.c.issue)
    due = (
        sa.select(issued_pass.c.id, issued_pass.c.number, issued_pass.c.status, pass_token.c.token)
        .join(pass_token, shown)
        .join(signing_key, signing_key.c.id == pass_token.c.key_id)
        .where(signing_key.c.state == KeyState.REVOKED, issued_pass.c.status != "REVOKED")
        .where(issued_pass.c.issue < MAX_ISSUE, issued_pass.c.not_after > moments.minute_floor(centre.now_ms()))
        .order_by(issued_pass.c.id)
        .limit(MAX_REISSUED_PER_STEP)
    )
    if not centre.finds(due):
        return 0
    with centre.write() as connection:
        key, now_ms = open_pass_key(connection, centre.secrets), centre.now_ms()
        listed_by = next_listed(connection)
        rows = connection.execute(due.with_for_update(of=issued_pass)).all()
        for row in rows:
            old = unverified_claims(row.token)
            if moments.minute_ms(old.not_after) > key.not_after_ms:
                raise NotAllowedError(f"the pass key {key.id} ends before the pass {row.number}: start a new one")
            version = BELIEVED_LISTED_ALONE if row.status == "NOT_BOUND" else listed_by
            claims = replace(old, issue=old.issue + 1, issued_version=version)
            token = sign_token(claims, key.id, key.private)
            connection.execute(
                pass_token.insert().values(
                    pass_id=row.id,
                    issue=claims.issue,
                    token=token,
                    evidence=evidence_of(token),
                    key_id=key.id,
                    issued_version=version,
                    signed_at_ms=now_ms,
                )
            )
            connection.execute(issued_pass.update().where(issued_pass.c.id == row.id).values(issue=claims.issue))
        ids = [row.id for row in rows]
        connection.execute(holder_key.update().where(holder_key.c.pass_id.in_(ids)).values(binding=None))
        relist(connection, ids)
        record(connection, now_ms, ACTOR, "pass.reissued", f"key:{key.id}", {"passes": len(rows)})
    return len(rows)
