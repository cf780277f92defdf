"""Open connections that a deadline can shut, and that tell whether they had been used before.

urllib3 calls us at the two moments that matter: when a TCP connection stands (before TLS and before a
proxy's tunnel, which a hostile peer can drag out as well), and before each request on it.
"""

from __future__ import annotations

import socket
from typing import Any

from requests.adapters import HTTPAdapter
from urllib3 import HTTPConnectionPool, HTTPSConnectionPool, ProxyManager
from urllib3.connection import HTTPConnection, HTTPSConnection

from workers.deadlines import on_duty


class _Watched(HTTPConnection):
    _served = False

    def _new_conn(self) -> socket.socket:
        opened = super()._new_conn()
        self._served = False
        watch = on_duty()
        if watch is not None:
            watch.use(opened, reused=False)
        return opened

    def request(self, *args: Any, **kwargs: Any) -> None:
        watch = on_duty()
        if watch is not None and self.sock is not None:
            watch.use(self.sock, reused=self._served)
        self._served = True
        super().request(*args, **kwargs)


class _WatchedTLS(_Watched, HTTPSConnection):
    pass


class _Pool(HTTPConnectionPool):
    ConnectionCls = _Watched


class _TLSPool(HTTPSConnectionPool):
    ConnectionCls = _WatchedTLS


_POOLS = {"http": _Pool, "https": _TLSPool}


class WatchedAdapter(HTTPAdapter):
    """The transport of a session: watched connections, no retries of its own."""

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        """Make the pools of direct connections."""
        super().init_poolmanager(*args, **kwargs)
        self.poolmanager.pool_classes_by_scheme = _POOLS

    def proxy_manager_for(self, proxy: str, **kwargs: Any) -> Any:
        """Make the pools of connections through a proxy that the environment names."""
        manager = super().proxy_manager_for(proxy, **kwargs)
        if type(manager) is ProxyManager:  # a SOCKS proxy has connections of its own kind
            manager.pool_classes_by_scheme = _POOLS
        return manager

    def close(self) -> None:
        """Close the idle connections now: urllib3 leaves that to the garbage collector."""
        for manager in (self.poolmanager, *self.proxy_manager.values()):
            for key in manager.pools.keys():  # noqa: SIM118 - this mapping of urllib3's cannot be iterated
                pool = manager.pools.get(key)
                if pool is not None:
                    pool.close()
        super().close()
