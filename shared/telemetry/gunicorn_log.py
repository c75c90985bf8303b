"""gunicorn's own lines in the format of all others; a module because only gunicorn is to load it."""

from __future__ import annotations

from gunicorn.glogging import Logger  # type: ignore[import-untyped]  # it ships no types

from shared.telemetry.logs import formatter


class GunicornLog(Logger):  # type: ignore[misc]  # it ships no types
    """Its loggers and levels, with our formatter. Not by its `logconfig_dict`, which turns on its access log."""

    def setup(self, cfg: object) -> None:
        """Set its loggers up."""
        super().setup(cfg)
        for handler in self.error_log.handlers:
            handler.setFormatter(formatter())
