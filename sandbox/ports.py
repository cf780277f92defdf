"""Choose ports on loopback and tell whether one is free."""

from __future__ import annotations

import errno
import random
import socket

from sandbox.endings import Refused

# Below the range from which systems take the ports of outgoing connections: a store that is down for a
# moment must find its port free when it comes back.
CHOICE = range(20000, 32768)


def is_free(port: int) -> bool:
    """Tell whether a server could listen on the port now. Raises Refused where we may not even try."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
            probe.listen(1)
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                return False
            raise Refused(f"Port {port} cannot be used ({error.strerror}); choose another one.") from None
    return True


def choose(taken: set[int]) -> int:
    """Return a free port that is not among those already given away."""
    for port in random.sample(CHOICE, 200):
        if port not in taken and is_free(port):
            return port
    raise Refused("No free port was found between 20000 and 32767.", code=1)
