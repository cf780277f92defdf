"""Ports are chosen where nobody listens and where outgoing connections do not take them."""

from __future__ import annotations

import socket

import pytest

from sandbox.endings import Refused
from sandbox.ports import CHOICE, choose, is_free


def test_port_in_use_is_not_free() -> None:
    """A port on which someone listens is not free; a chosen one is, and lies below the outgoing range."""
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen(1)
        assert not is_free(other.getsockname()[1])
    port = choose(set())
    assert is_free(port)
    assert port in CHOICE


def test_no_port_left() -> None:
    """When every port is given away there is a sentence and no endless search."""
    with pytest.raises(Refused, match="No free port"):
        choose(set(CHOICE))
