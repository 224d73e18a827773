"""What stores say of a request they refuse: the error codes of S3, MLflow and Hugging Face, and what to do about them.

Only codes known here are shown: the rest of an answer may repeat what was sent, and that may hold a credential.

Source: Amazon S3 API Reference, "Error responses", section "List of error codes"; MLflow's `protos/databricks.proto`,
enum ErrorCode; huggingface_hub, `utils/_http.py` (hf_raise_for_status).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from .failure import MISSING, REFUSED, UNUSABLE

LIMIT = 16 << 10
_CODE = re.compile(rb"<Code>([A-Za-z]{1,64})</Code>")
_ERROR_CODE = re.compile(rb'"error_code"\s*:\s*"([A-Z_]{1,64})"')
_REGION = re.compile(r"[a-z0-9-]{1,32}")
_REGION_ELEMENT = re.compile(rb"<Region>([a-z0-9-]{1,32})</Region>")

S3: Mapping[str, tuple[str, str | None]] = {
    "AccessDenied": (REFUSED, None),
    "AllAccessDisabled": (REFUSED, None),
    "AuthorizationHeaderMalformed": (UNUSABLE, "the region is not the bucket's: set AWS_REGION"),
    "ExpiredToken": (REFUSED, "the session token has expired: get new credentials"),
    "InvalidAccessKeyId": (REFUSED, "the access key id is not known there: set the right one"),
    "InvalidBucketName": (UNUSABLE, "see that the bucket's name is right"),
    "InvalidObjectState": (REFUSED, "the object is archived: restore it first"),
    "InvalidToken": (REFUSED, "the session token is not valid, or belongs to other credentials: get new ones"),
    "NoSuchBucket": (MISSING, "see that the bucket's name and the endpoint are right"),
    "NoSuchKey": (MISSING, None),
    "NoSuchVersion": (MISSING, "this version of the object was deleted: lock again"),
    "PermanentRedirect": (UNUSABLE, "the bucket is in another region: set AWS_REGION"),
    "RequestExpired": (REFUSED, "the clock of this machine is wrong: set it"),
    "RequestTimeTooSkewed": (REFUSED, "the clock of this machine is wrong by more than the server accepts: set it"),
    "SignatureDoesNotMatch": (REFUSED, "the secret access key does not go with the access key id: set the right ones"),
}
"""code -> (reason, hint)."""

NOT_THERE = "RESOURCE_DOES_NOT_EXIST"
MLFLOW: Mapping[str, tuple[str, str | None]] = {
    NOT_THERE: (MISSING, None),
    "PERMISSION_DENIED": (REFUSED, None),
    "UNAUTHENTICATED": (REFUSED, None),
}
HUB: Mapping[str, tuple[str, str | None]] = {
    "EntryNotFound": (MISSING, None),
    "GatedRepo": (
        REFUSED,
        "its owner asks for consent: accept the conditions on the repository's page, and give a token of that account "
        "in HF_TOKEN or by a connection",
    ),
    "RepoNotFound": (REFUSED, None),
    "RevisionNotFound": (
        MISSING,
        "see that there is such a branch, tag or commit; where a locked one is gone, run 'buildrules lock'",
    ),
}


def refusal(answer: Any) -> tuple[str, str, str | None] | None:
    """(code, reason, hint) of an answer with an error status; None where it says nothing that is known here."""
    code = answer.headers.get("X-Error-Code") or ""
    if code in HUB:
        return code, *HUB[code]
    kind = answer.headers.get("Content-Type") or ""
    if "xml" not in kind and "json" not in kind:
        return None
    try:
        body = answer.read(LIMIT)
    except Exception:  # noqa: BLE001 - whatever breaks here, the status has been read and is what counts
        return None
    pattern, codes = (_CODE, S3) if "xml" in kind else (_ERROR_CODE, MLFLOW)
    found = pattern.search(body)
    code = found.group(1).decode() if found else ""
    if code not in codes:
        return None
    reason, hint = codes[code]
    if hint and hint.endswith("AWS_REGION"):
        element = _REGION_ELEMENT.search(body)
        region = answer.headers.get("x-amz-bucket-region") or (element.group(1).decode() if element else "")
        if _REGION.fullmatch(region):
            hint += f"={region}"
    return code, reason, hint
