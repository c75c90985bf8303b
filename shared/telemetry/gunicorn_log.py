"""gunicorn's own lines in the format of all others; a module because only gunicorn is to load it."""

from __future__ import annotations

from logging import FileHandler, StreamHandler

from gunicorn.glogging import Logger  # type: ignore[import-untyped]  # it ships no types

from shared.telemetry.logs import formatter, handler


class GunicornLog(Logger):  # type: ignore[misc]  # it ships no types
    """Its loggers and levels, with our formatter. Not by its `logconfig_dict`, which turns on its access log."""

    def setup(self, cfg: object) -> None:
        """Set its loggers up."""
        super().setup(cfg)
        # Standard error is ours; a file that an operator names with --error-logfile gets our lines.
        for one in list(self.error_log.handlers):
            one.setFormatter(formatter())
            if isinstance(one, StreamHandler) and not isinstance(one, FileHandler):
                self.error_log.removeHandler(one)
                self.error_log.addHandler(handler())
