"""Make every test start from the same ground, whatever the environment of the person who runs it."""

from __future__ import annotations

import os

import pytest

from common.settings import TABLE
from tests.stores import mongodb_url, redis_url, secantus, valkey

__all__ = ["mongodb_url", "redis_url", "secantus", "valkey"]


def pytest_configure(config: pytest.Config) -> None:
    """Drop our own settings from the environment: tests, and the processes they start, name what they mean.

    A MONGODB_URL left over from a real deployment must never be what a test empties.
    """
    for setting in TABLE:
        os.environ.pop(setting.name, None)
        os.environ.pop(f"{setting.name}_FILE", None)
