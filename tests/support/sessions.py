"""A browser of somebody who has signed in, over the application itself: cookies, and headers as browsers send them."""

from __future__ import annotations

import re
from typing import Any

from fakes.api_keys import ADMIN_KEY
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

NAVIGATING = {"HTTP_ACCEPT": "text/html", "HTTP_SEC_FETCH_MODE": "navigate", "HTTP_SEC_FETCH_SITE": "same-origin"}


class PageClient(FlaskClient):
    """A browser that navigates: it keeps cookies, and shows no API key."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.environ_base |= NAVIGATING

    def sign_in(self, key: str = ADMIN_KEY, **form: str) -> TestResponse:
        """Send the form of the sign-in page."""
        return self.post("/sign-in", data={"key": key, **form})

    def csrf_token(self, page: str = "/settings") -> str:
        """Return the CSRF token as a page has it for its scripts."""
        found = re.search('data-csrf-token="([^"]*)"', self.get(page).text)
        assert found
        return found[1]


def browser_of(gateway: Any, key: str | None = ADMIN_KEY) -> PageClient:
    """Return a browser at a gateway, signed in with this key if it is given."""
    browser = PageClient(gateway.app, gateway.app.response_class)
    if key is not None:
        assert browser.sign_in(key).status_code == 303
    return browser
