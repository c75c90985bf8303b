"""What makes the model service answer: the secret that both tiers share, and certificates where there is TLS."""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True, slots=True)
class ModelAccess:
    """What every request to the model service shows.

    Attributes
    ----------
    headers : the secret, ready to be sent.
    tls : whom to trust, and this gateway's own certificate; None for what the machine trusts.
    """

    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    tls: ssl.SSLContext | None = None


OPEN_ACCESS = ModelAccess()
"""For a model service that asks for nothing."""


def model_access(secret: str, ca: Path | None = None, cert: Path | None = None, key: Path | None = None) -> ModelAccess:
    """Return what a secret and, for ``https://``, files with certificates make of it.

    Parameters
    ----------
    ca : the authorities to trust; those of the machine if None.
    cert, key : this gateway's own certificate, for a model service that asks for one; the key may be in the same file.
    """
    tls = ssl.create_default_context(cafile=ca)
    if cert:
        tls.load_cert_chain(cert, key)
    return ModelAccess({"Authorization": f"Bearer {secret}"}, tls)
