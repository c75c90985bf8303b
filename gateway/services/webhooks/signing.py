"""The secrets that deliveries are signed with, which are stored nowhere.

A secret is derived from the installation's own (GATEWAY_SECRET_KEY) and a nonce that is stored with the webhook: who
has the database or a backup cannot sign, and no second key has to be kept safe. The price is that another
GATEWAY_SECRET_KEY makes all of them void. That is noticed by a mark of the key (`Signing.mark`): rather than signatures
that no receiver knows, nothing is sent, and the webhook says why. So a backup that is restored elsewhere, with another
key, tells nobody anything.
"""

from __future__ import annotations

import base64
import hmac
import secrets
from datetime import datetime

from gateway.services.webhooks.webhook import Webhook

PREFIX = "whsec_"
"""What a secret begins with in the Standard Webhooks specification."""


class Signing:
    """Makes signing secrets.

    Attributes
    ----------
    mark : by what the installation's secret is known again; it does not tell it.
    """

    def __init__(self, secret: str) -> None:
        self._secret = secret.encode()
        self.mark = self._derived("mark").hex()[:16]

    def new_nonce(self) -> str:
        """Return what a new secret is derived from."""
        return secrets.token_hex(16)

    def secret(self, webhook_id: str, nonce: str) -> str:
        """Return a secret as receivers write it: 256 bits in base64."""
        return PREFIX + base64.b64encode(self._derived(f"{webhook_id}:{nonce}")).decode()

    def secrets(self, webhook: Webhook, at: datetime) -> list[str]:
        """Return the secrets that sign now: the present one and, for a while after a rotation, the one before."""
        found = [self.secret(webhook.id, webhook.nonce)]
        if webhook.old_nonce is not None and webhook.old_until is not None and at < webhook.old_until:
            found.append(self.secret(webhook.id, webhook.old_nonce))
        return found

    def _derived(self, what: str) -> bytes:
        return hmac.digest(self._secret, f"webhooks:{what}".encode(), "sha256")
