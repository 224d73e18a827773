"""Which certificates are trusted: one order for all traffic, here and in images."""

from __future__ import annotations

import os
from collections.abc import Mapping

VARIABLES = ("SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")
"""The usual variables, in the order they count."""
HINT = "name a file with the certificates to trust in SSL_CERT_FILE"


def named(environ: Mapping[str, str]) -> tuple[str | None, str | None]:
    """(file, folder) that the first variable names which leads to one; (None, None) for the system's own."""
    for name in VARIABLES:
        value = environ.get(name, "")
        if os.path.isfile(value):
            return value, None
        if os.path.isdir(value):
            return None, value
    return None, None
