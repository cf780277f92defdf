"""Serve the answer of the contract's example by Falcon on uvicorn, and do nothing else: the floor for a door.

    python -m bench.peers.bare --port 8001

It reads the body, sets as many header bytes as the product does, and answers the same 498 bytes.
"""

from __future__ import annotations

import argparse
import json
from typing import Any

import falcon.asgi
import uvicorn

ANSWER = json.dumps({"padding": "x" * 482}).encode()
HEADERS = {
    "Cache-Control": "no-cache, no-store",
    "Pragma": "no-cache",
    "Expires": "Fri, 01 Jan 1990 00:00:00 GMT",
    "Vary": "Accept-Encoding",
    "P3P": 'CP="NOI ADM DEV PSAi COM NAV OUR OTRo STP IND DEM"',
    "X-Token": "x" * 200,
    "X-Request-Id": "20e11784-6c4f-4f81-a530-4dcebe62cf4a",
    "X-Runtime": "0.208305",
    "X-Frame-Options": "DENY",
    "X-Content-Type-Options": "nosniff",
    "X-XSS-Protection": "1; mode=block",
    "X-Download-Options": "noopen",
    "X-Permitted-Cross-Domain-Policies": "none",
    "Referrer-Policy": "origin-when-cross-origin, strict-origin-when-cross-origin",
}


class Imports:
    """Answers every POST alike."""

    async def on_post(self, req: Any, resp: Any) -> None:
        """Read the body and answer."""
        await req.stream.read()
        resp.set_headers(HEADERS)
        resp.content_type = "application/json; charset=utf-8"
        resp.data = ANSWER


def main() -> None:
    """Serve until SIGTERM."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    app = falcon.asgi.App()
    app.add_route("/api/v1/imports", Imports())
    uvicorn.run(app, host="127.0.0.1", port=parser.parse_args().port, log_level="warning", access_log=False)


if __name__ == "__main__":
    main()
