"""Style sheet and scripts; short, because they lie in memory."""

from __future__ import annotations

from flask import Response
from werkzeug.exceptions import NotFound

from gateway.pages.static_files import TYPES, digest, static_files


class StaticFileController:
    """Files that pages load."""

    def file(self, digest: str, name: str) -> Response:
        """GET /static/{digest}/{name}: of an older page's files, those of today, which nobody shall keep."""
        content = static_files().get(name)
        if content is None:
            raise NotFound
        kept = "public, max-age=31536000, immutable" if digest == _digest() else "no-store"
        return Response(content, headers={"Cache-Control": kept}, mimetype=TYPES[name.rpartition(".")[2]])


_digest = digest
