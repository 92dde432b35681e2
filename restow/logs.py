"""Where logs go: never to stdout, which is for data."""

import logging
import os
import sys
from typing import Any

import msgspec
import structlog

LEVELS = logging.getLevelNamesMapping()


def quiet() -> None:
    """Say nothing but what `RESTOW_LOG` asks for (debug, info, warning, error): a command line."""
    _configure(os.environ.get("RESTOW_LOG", "critical"))


def verbose() -> None:
    """Write JSON lines, from `RESTOW_LOG` (default info) on: a process of a region."""
    _configure(os.environ.get("RESTOW_LOG", "info"))


def _configure(level: str) -> None:
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            structlog.processors.JSONRenderer(serializer=_as_json),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(
            LEVELS.get(level.upper(), logging.INFO)
        ),
        logger_factory=structlog.WriteLoggerFactory(sys.stderr),
        cache_logger_on_first_use=False,
    )


def _as_json(event: dict[str, Any], **_: object) -> str:
    return msgspec.json.encode(event, enc_hook=str).decode()
