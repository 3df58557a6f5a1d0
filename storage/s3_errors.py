"""What boto says, in our words: the one place where its errors are translated.

A message has the error's code and what to do about it, never the text that came from outside: that may quote
keys, signatures and URLs.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Final

from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    ConnectTimeoutError,
    CredentialRetrievalError,
    EndpointConnectionError,
    HTTPClientError,
    NoCredentialsError,
    NoRegionError,
    PartialCredentialsError,
    ReadTimeoutError,
    SSLError,
    TokenRetrievalError,
)

from contracts.errors import StorageUnavailable

_KEYS: Final = "the credentials are refused: check AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, or the role"
_DENIED: Final = (
    "access is denied: the credentials need s3:ListBucket, s3:GetObject, s3:PutObject, s3:DeleteObject "
    "and s3:AbortMultipartUpload, and with a KMS key kms:GenerateDataKey and kms:Decrypt"
)
_REGION: Final = "the bucket is in another region: set the region"
_BUSY: Final = "it is busy, and asks for fewer requests"
_FAILING: Final = "it is failing: look at its own state"
_UNABLE: Final = "it cannot do what is needed: conditional writes (If-None-Match, If-Match), checksums"
_CODES: Final = {
    "NoSuchBucket": "there is no such bucket: create it, or check its name, region and endpoint",
    "AccessDenied": _DENIED,
    "403": _DENIED,
    "InvalidAccessKeyId": _KEYS,
    "SignatureDoesNotMatch": _KEYS,
    "InvalidToken": _KEYS,
    "ExpiredToken": "the credentials have expired: renew them",
    "RequestTimeTooSkewed": "this machine's clock is wrong: set it",
    "301": _REGION,
    "PermanentRedirect": _REGION,
    "AuthorizationHeaderMalformed": _REGION,
    "NotImplemented": _UNABLE,
    "501": _UNABLE,
    "SlowDown": _BUSY,
    "ServiceUnavailable": _BUSY,
    "503": _BUSY,
    "InternalError": _FAILING,
    "500": _FAILING,
    "502": _FAILING,
    "504": _FAILING,
    "QuotaExceeded": "its quota is used up: make room",
    "XMinioStorageFull": "it is full: make room",
}
_FAMILIES: Final = {"KMS.": "the KMS key is refused: check its id, state and policy"}
# The first that fits, so the more special before the more general.
_KINDS: Final[tuple[tuple[type[BotoCoreError], str], ...]] = (
    (NoCredentialsError, "no credentials: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or give a role"),
    (PartialCredentialsError, "half of the credentials is missing: set both AWS_… keys"),
    (CredentialRetrievalError, "no credentials could be fetched: check the machine's AWS settings"),
    (TokenRetrievalError, "no credentials could be fetched: check the machine's AWS settings"),
    (NoRegionError, "no region: set it"),
    (SSLError, "no trustworthy TLS connection: check the endpoint and its certificate"),
    (ConnectTimeoutError, "cannot be reached (timed out): check the endpoint and the network"),
    (ReadTimeoutError, "no answer in time"),
    (EndpointConnectionError, "cannot be reached: check the endpoint and the network"),
    (HTTPClientError, "the connection broke"),
)


def code_of(error: ClientError) -> str:
    """S3's own name of an error; of an answer without a body (HEAD) its status, such as `404`."""
    return str(error.response.get("Error", {}).get("Code", ""))


def was_repeated(error: ClientError) -> bool:
    """Whether it is the answer to a repetition: the first try may have done its work."""
    return bool(error.response.get("ResponseMetadata", {}).get("RetryAttempts", 0))


def reason_of(code: str) -> str:
    """What an error's name means, and what to do about it."""
    family = next((text for start, text in _FAMILIES.items() if code.startswith(start)), "it failed")
    return f"{_CODES.get(code, family)} ({code:.40})"


@contextlib.contextmanager
def s3_errors(storage: str) -> Iterator[None]:
    """Translate what boto raises into StorageUnavailable, one line; `storage` is what logs call it."""
    try:
        yield
    except (BotoCoreError, ClientError) as error:
        raise StorageUnavailable(f"{storage}: {_reason(error)}") from error


def _reason(error: BotoCoreError | ClientError) -> str:
    if isinstance(error, ClientError):
        return reason_of(code_of(error))
    kind = next((text for kind, text in _KINDS if isinstance(error, kind)), "it failed")
    return f"{kind} ({type(error).__name__})"
