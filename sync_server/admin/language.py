"""Two languages: Chinese is the source, English stands in translations/en and is compiled when the server starts.

A person's choice is kept in the session; until then the pages are Chinese.
"""

from __future__ import annotations

import io
from functools import cache
from pathlib import Path

from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po
from babel.support import Translations
from flask import Flask, has_request_context, session
from flask_babel import Babel, get_locale

LANGUAGES = {"zh": "zh_Hans_CN", "en": "en"}  # what the session keeps -> the locale
ENGLISH = Path(__file__).parent / "translations" / "en" / "LC_MESSAGES" / "messages.po"

_babel = Babel()


def install(app: Flask) -> None:
    """Make `_()` work in templates and code."""
    _babel.init_app(app, default_locale=LANGUAGES["zh"], locale_selector=lambda: LANGUAGES[language()])
    with app.app_context():
        translations = {LANGUAGES["zh"]: Translations(), LANGUAGES["en"]: english()}
        _babel.domain_instance.cache.update({(name, "messages"): found for name, found in translations.items()})


def language() -> str:
    """ "zh" or "en" for this request."""
    chosen = session.get("language") if has_request_context() else None
    return chosen if chosen in LANGUAGES else "zh"


def named(zh: str, en: str) -> str:
    """The name of a thing that the database holds in both languages."""
    return en if get_locale().language == "en" else zh


@cache
def english() -> Translations:
    """The English catalogue, compiled in memory, once for all applications."""
    with ENGLISH.open("rb") as stream:
        catalog = read_po(stream, locale="en")
    compiled = io.BytesIO()
    write_mo(compiled, catalog)
    compiled.seek(0)
    return Translations(compiled, domain="messages")
