"""The gates' interface: enrolment, configuration, entries under `/device/v1/`, lists under `/feed/` (wire.md §5–§7).

Nothing but these routes is open to a gate; what it may do depends on its state in the registry, and its venue is the
registry's. Bodies are MessagePack as wire.messages defines them; errors are JSON `{"error": word, "say": sentence}`.
"""

from __future__ import annotations

import zlib

import msgspec
from flask import Blueprint, Flask, Response, jsonify, request
from sqlalchemy.engine import Connection
from sqlalchemy.exc import OperationalError
from werkzeug.exceptions import RequestEntityTooLarge

from sync_server.centre import Centre
from sync_server.commits import SharedCommits
from sync_server.device_api.callers import SENTENCES, Caller, Refusal, Request, identify, spend
from sync_server.device_api.electronic_card import answer_card, may_ask
from sync_server.device_api.heads import HeadCache
from sync_server.device_api.segments import SegmentCache
from sync_server.device_api.service_key import ServiceKey
from sync_server.electronic_cards.platform_client import verifier_of
from sync_server.feed.heads import open_feed
from sync_server.feed.photos import photo_keys, photo_named
from sync_server.feed.reading import list_key_ids
from sync_server.gates.enrolment import EnrolFlaw, code_with, enrol
from sync_server.gates.journals import KEPT_HERE, MAX_SEQ
from sync_server.gates.registry import Device, stays_active
from sync_server.gates.venue_keys import list_key, list_keys, listed_credential_keys
from sync_server.keys import key_set
from sync_server.redemptions.ingest import take_in
from sync_server.redemptions.online import redeem
from sync_server.redemptions.rulebook import Rulebook
from wire.electronic_card import MAX_QUESTION_BYTES, read_question
from wire.envelope import CLOCK_HEADER, ENVELOPE_HEADERS, NONCE_HEADER
from wire.messages import (
    MAX_BATCH_BYTES,
    BatchFlaw,
    EnrolReply,
    EnrolRequest,
    GateConfig,
    ReadBatch,
    batch_digest,
    read_batch,
    sign_config,
)
from wire.photo import PhotoKeys, sign_photo_keys
from wire.redeem import MAX_REDEEM_BYTES, RedeemFlaw, read_redeem
from wire.unreadable import UNREADABLE

MAX_ENROL_BYTES = 4096
MSGPACK = "application/msgpack"
OCTETS = "application/octet-stream"
ACTIVE = ("active",)

ENROL_SENTENCES = {
    EnrolFlaw.CODE: "this code is not valid (any more); ask for a new one",
    EnrolFlaw.KEY: "this is no usable public key",
    EnrolFlaw.KEY_IN_USE: "another gate has this key; make a new one",
}
BATCH_SENTENCES = {
    BatchFlaw.MALFORMED: "this is no batch of entries",
    BatchFlaw.NEEDS_UPDATE: "this centre does not know that format of batch or kind of entry: update it",
    BatchFlaw.TOO_LARGE: "the batch or one of its entries is too large",
    BatchFlaw.NOT_CONTIGUOUS: "the entries' numbers do not follow one another",
    BatchFlaw.BROKEN_CHAIN: "the hashes do not fit the entries",
}
REDEEM_SENTENCES = {
    RedeemFlaw.MALFORMED: "this is no request for an on-line check",
    RedeemFlaw.NEEDS_UPDATE: "this centre does not know that format of request",
    RedeemFlaw.ID_REUSED: "this request id was used before for another presentation; take a new one",
}


def register(app: Flask, centre: Centre) -> None:
    """Hang the gates' routes on the application."""
    app.register_blueprint(_device_routes(centre))
    app.register_blueprint(_feed_routes(centre))


def _device_routes(centre: Centre) -> Blueprint:
    routes = Blueprint("device_api", __name__, url_prefix="/device/v1")
    service_key = ServiceKey(centre)

    @routes.after_request
    def tell_the_time(response: Response) -> Response:
        try:
            value = service_key.clock_header(request.headers.get(NONCE_HEADER, ""))
        except OperationalError:  # the database is away, as the answer says already
            value = None
        if value is not None:
            response.headers[CLOCK_HEADER] = value
        response.headers["Cache-Control"] = "no-store"
        return response

    @routes.errorhandler(RequestEntityTooLarge)
    def refuse_large(_error: RequestEntityTooLarge) -> Response:
        return _refuse(413, BatchFlaw.TOO_LARGE, "the body of this request is too large")

    @routes.post("/enrol")
    def enrol_gate() -> Response:
        request.max_content_length = MAX_ENROL_BYTES
        try:
            asked = msgspec.msgpack.decode(request.get_data(), type=EnrolRequest)
        except UNREADABLE:
            return _refuse(400, "malformed", "this is no enrolment request")
        if not centre.finds(code_with(asked.secret)):
            return _refuse(403, EnrolFlaw.CODE, ENROL_SENTENCES[EnrolFlaw.CODE])
        with centre.write() as connection:
            outcome = enrol(connection, centre.secrets, asked, centre.now_ms())
            keys = key_set.newest(connection)
        if isinstance(outcome, EnrolFlaw):
            return _refuse(403, outcome, ENROL_SENTENCES[outcome])
        return Response(msgspec.msgpack.encode(EnrolReply(outcome, keys.document)), mimetype=MSGPACK)

    @routes.get("/config")
    def configure_gate() -> Response:
        caller = identify(centre, _signed(), ACTIVE)
        if isinstance(caller, Refusal):
            return _refuse_caller(caller)
        with centre.write() as connection:
            if not spend(connection, caller, centre.now_ms()):
                return _refuse_caller(Refusal.REPLAYED)
            if not stays_active(connection, caller.device.id):
                return _refuse_caller(Refusal.REVOKED)
            config = _config_of(centre, connection, caller.device)
        signer = service_key.current()
        return Response(sign_config(config, caller.device.id, signer.id, signer.private), mimetype=OCTETS)

    @routes.post("/entries")
    def take_entries() -> Response:
        request.max_content_length = MAX_BATCH_BYTES
        caller = identify(centre, _signed(), ACTIVE)
        return _refuse_caller(caller) if isinstance(caller, Refusal) else _take_entries(centre, caller, service_key)

    _add_redeem_route(routes, centre, service_key)
    _add_card_route(routes, centre, service_key)
    _add_photo_keys_route(routes, centre, service_key)

    return routes


def _config_of(centre: Centre, connection: Connection, device: Device) -> GateConfig:
    """Everything an approved gate needs to read its list, the keys of segments that are still in force included."""
    venue_id = device.venue_id
    feed_id = open_feed(connection, centre, venue_id)
    ids = list_key_ids(connection, venue_id) | {list_key(connection, centre.secrets, venue_id).id}
    newest, *older = listed_credential_keys(connection, centre.secrets, venue_id)
    return GateConfig(
        venue=device.venue_number,
        feed_id=feed_id,
        list_keys=tuple((one.id, one.key) for one in list_keys(connection, centre.secrets, venue_id, ids)),
        credential_key=newest.key,
        deployment_salt=key_set.deployment_salt(connection, centre.secrets),
        key_set=key_set.newest(connection).document,
        earlier_key_sets=key_set.chain(connection),
        older_credential_keys=tuple(one.key for one in older),
        feed_url=centre.settings.feed_url,
    )


def _take_entries(centre: Centre, caller: Caller, service_key: ServiceKey) -> Response:
    taken = _read(request.get_data(), request.headers.get("Content-Encoding", "gzip"))
    if isinstance(taken, BatchFlaw):
        return _refuse(413 if taken is BatchFlaw.TOO_LARGE else 400, taken, BATCH_SENTENCES[taken])
    body, read = taken
    if read.batch.device != caller.device.id:
        return _refuse(403, "wrong_device", "these are another gate's entries")
    if read.batch.incarnation == KEPT_HERE:
        return _refuse(403, "wrong_journal", "the centre keeps the journal of on-line checks itself")
    signer = service_key.current()
    with centre.write() as connection:
        if not spend(connection, caller, centre.now_ms()):
            return _refuse_caller(Refusal.REPLAYED)
        receipt = take_in(connection, centre, caller.device, read, batch_digest(body), signer)
    return Response(receipt, mimetype=OCTETS)


def _add_redeem_route(routes: Blueprint, centre: Centre, service_key: ServiceKey) -> None:
    rulebook, commits = Rulebook(centre), SharedCommits(centre.engine)

    @routes.post("/redeem")
    def check_on_line() -> Response:
        """No nonce is spent: the request's own id does its work, and for longer."""
        request.max_content_length = MAX_REDEEM_BYTES
        caller = identify(centre, _signed(), ACTIVE, rulebook.caller)
        if isinstance(caller, Refusal):
            return _refuse_caller(caller)
        body = request.get_data()
        asked = read_redeem(body)
        if isinstance(asked, RedeemFlaw):
            return _refuse(400, asked, REDEEM_SENTENCES[asked])
        answer = redeem(centre, commits, rulebook, caller.device, asked, body, service_key.current())
        if isinstance(answer, RedeemFlaw):
            return _refuse(409, answer, REDEEM_SENTENCES[answer])
        if answer is None:
            rulebook.forget(caller.device.id)
            return _refuse_caller(Refusal.REVOKED)
        return Response(answer, mimetype=OCTETS)


def _add_card_route(routes: Blueprint, centre: Centre, service_key: ServiceKey) -> None:
    """Whose electronic card is this? Each request is answered once, as each code is good for one question."""
    verifier = verifier_of(centre)

    @routes.post("/electronic-card")
    def read_electronic_card() -> Response:
        request.max_content_length = MAX_QUESTION_BYTES
        caller = identify(centre, _signed(), ACTIVE)
        if isinstance(caller, Refusal):
            return _refuse_caller(caller)
        body = request.get_data()
        question = read_question(body)
        if question is None:
            return _refuse(400, "malformed", "this is no question about an electronic card")
        is_fresh, is_taken = may_ask(centre, caller)
        if not is_fresh:
            return _refuse_caller(Refusal.REPLAYED)
        if not is_taken:
            return _refuse(403, "not_taken", "this venue takes no electronic cards")
        answer = answer_card(centre, verifier, caller, question, body, service_key.current())
        return Response(answer, mimetype=OCTETS)


def _add_photo_keys_route(routes: Blueprint, centre: Centre, service_key: ServiceKey) -> None:
    """What opens the photos: apart from the configuration, which gates keep on disk."""

    @routes.get("/photo-keys")
    def tell_photo_keys() -> Response:
        caller = identify(centre, _signed(), ACTIVE)
        if isinstance(caller, Refusal):
            return _refuse_caller(caller)
        with centre.write() as connection:
            if not spend(connection, caller, centre.now_ms()):
                return _refuse_caller(Refusal.REPLAYED)
            if not stays_active(connection, caller.device.id):
                return _refuse_caller(Refusal.REVOKED)
            keys = photo_keys(connection, centre, caller.device.venue_id)
        told, signer = PhotoKeys(caller.device.id, caller.nonce, keys), service_key.current()
        return Response(sign_photo_keys(told, signer.id, signer.private), mimetype=OCTETS)


def _feed_routes(centre: Centre) -> Blueprint:
    """Plain cacheable GETs without a session, a row or a signature of the asker: what is served is signed itself."""
    routes = Blueprint("feed", __name__, url_prefix="/feed")
    heads, segments = HeadCache(centre), SegmentCache(centre)

    @routes.get("/<feed_name>/head")
    def head(feed_name: str) -> Response:
        feed_id = _unhex(feed_name)
        found = None if feed_id is None else heads.find(feed_id)
        if found is None:
            return _refuse(404, "unknown_feed", "there is no such list")
        unchanged = request.if_none_match.contains_weak(found.etag)  # a proxy that compresses makes it weak
        response = Response(status=304) if unchanged else Response(found.data, mimetype=OCTETS)
        response.set_etag(found.etag)
        response.headers["Cache-Control"] = "public, max-age=1"
        return response

    @routes.get("/segments/<segment_name>")
    def segment_named(segment_name: str) -> Response:
        name = _unhex(segment_name)
        data = None if name is None else segments.find(name)
        if data is None:
            return _refuse(404, "unknown_segment", "there is no such segment (any more); fetch the head again")
        return _immutable(data, segment_name)

    @routes.get("/photos/<name_hex>")
    def photo(name_hex: str) -> Response:
        name = _unhex(name_hex)
        with centre.read() as connection:
            data = None if name is None else photo_named(connection, name)
        if data is None:
            return _refuse(404, "unknown_photo", "there is no such photo (any more)")
        return _immutable(data, name_hex)

    return routes


def _immutable(data: bytes, name: str) -> Response:
    response = Response(data, mimetype=OCTETS)
    response.set_etag(name)
    response.headers["Cache-Control"] = "public, max-age=31536000, immutable"
    return response


def _signed() -> Request:
    query = request.query_string.decode("ascii", "replace")
    path = f"{request.path}?{query}" if query else request.path
    headers = {name: request.headers.get(name, "") for name in ENVELOPE_HEADERS}
    return Request(request.method, path, request.get_data(), headers)


def _read(data: bytes, encoding: str) -> tuple[bytes, ReadBatch] | BatchFlaw:
    """The body as digested, and the batch in it."""
    body = _inflate(data, encoding)
    if body is None:
        return BatchFlaw.MALFORMED
    read = read_batch(body)
    if isinstance(read, BatchFlaw):
        return read
    return (body, read) if 1 <= read.batch.first_seq <= MAX_SEQ else BatchFlaw.MALFORMED


def _inflate(data: bytes, encoding: str) -> bytes | None:
    """The body of a batch, never more than the limit and a byte of it; None for what is no gzip stream."""
    if encoding != "gzip":
        return None
    stream = zlib.decompressobj(wbits=31)
    try:
        body = stream.decompress(data, MAX_BATCH_BYTES + 1)
    except zlib.error:
        return None
    too_long = len(body) > MAX_BATCH_BYTES
    return body if too_long or (stream.eof and not stream.unused_data) else None


def _unhex(text: str) -> bytes | None:
    try:
        return bytes.fromhex(text) if text.isalnum() else None  # fromhex skips blanks, which are no part of a name
    except ValueError:
        return None


def _refuse_caller(refusal: Refusal) -> Response:
    return _refuse(403 if refusal in (Refusal.PENDING, Refusal.REVOKED) else 401, refusal, SENTENCES[refusal])


def _refuse(status: int, word: str, sentence: str) -> Response:
    response = jsonify({"error": word, "say": sentence})
    response.status_code = status
    return response
