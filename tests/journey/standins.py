"""Stand in for the product's processes, so that the sandbox is tried out by itself on its real stores.

prepare | organization … | user … | token …     what the operator's command answers, kept in MongoDB
web                                             a door that carries an import through its states
wait                                            a process that does nothing until it is told to end
master                                          one that has started a second, as a dramatiq master does
"""

from __future__ import annotations

import itertools
import json
import os
import signal
import subprocess
import sys
import time
import uuid
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs

from pymongo import MongoClient

STATES = ("queued", "fetching", "rendering", "succeeded")


def operate(words: list[str]) -> Any:
    """Answer one operator's command."""
    with MongoClient[dict[str, Any]](os.environ["MONGODB_URL"]) as client:
        database = client.get_default_database()
        noun, verb = words[0], words[1] if len(words) > 1 else ""
        options = dict(itertools.pairwise(words))
        if noun == "prepare":
            return {}
        if noun == "token":
            assert database.users.find_one({"_id": verb}) is not None
            return {"token": f"token-of-{verb}", "user_id": verb, "expires_at": "2030-01-01T00:00:00Z"}
        if verb == "list":
            return [{"id": found["_id"]} for found in database[f"{noun}s"].find()]
        if noun == "organization":
            secret, url = sys.stdin.read(), options["--salesforce-url"]
            assert len(secret) >= 32
            changed = {"$set": {"salesforce_url": url}, "$inc": {f"verbs.{verb}": 1}}
            name = options.get("--id", words[2])
            database.organizations.update_one({"_id": name}, changed, upsert=verb == "add")
            return {"id": name}
        database.users.insert_one({"_id": options["--id"]})
        return {"id": options["--id"], "organization_id": words[2]}


class Handler(BaseHTTPRequestHandler):
    """A door that knows only readiness and imports."""

    imports: dict[str, dict[str, Any]] = {}  # noqa: RUF012 - one door, one process

    def do_GET(self) -> None:
        found = self.imports.get(self.path.rpartition("/")[2])
        if found is not None:
            found["status"] = STATES[min(len(STATES) - 1, STATES.index(found["status"]) + 1)]
        self._answer(200 if found is not None or self.path == "/readyz" else 404, found or {})

    def do_POST(self) -> None:
        sent = parse_qs(self.rfile.read(int(self.headers["Content-Length"])).decode())
        if self.path != "/api/v1/imports":
            self._answer(404, {})  # nobody logs in here
            return
        made = {"id": str(uuid.uuid4()), "status": "queued", "params": sent}
        allowed = self.headers["Authorization"].startswith('Token token="token-of-')
        self.imports[made["id"]] = made
        self._answer(200 if allowed and sent["attachment_id"] else 401, made)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the library's name
        """Log nothing."""

    def _answer(self, status: int, document: dict[str, Any]) -> None:
        body = json.dumps(document).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


def main() -> None:
    """Play the part that the first word names."""
    part = sys.argv[1]
    sys.stderr.write(f"stand-in {part} begins\n")
    if part == "web":
        ThreadingHTTPServer(("127.0.0.1", int(os.environ["PORT"])), Handler).serve_forever()
    elif part == "stubborn":
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        time.sleep(3600)
    elif part == "chatter":
        for number in range(20_000):
            sys.stdout.write(f"line {number} of what nobody reads\n")
        sys.stdout.write("said everything\n")
        sys.stdout.flush()
        time.sleep(3600)
    elif part == "master":
        subprocess.Popen([sys.executable, __file__, "wait"])
        time.sleep(3600)
    elif part == "wait":
        time.sleep(3600)
    else:
        sys.stdout.write(json.dumps(operate([word for word in sys.argv[1:] if word != "--json"])))


if __name__ == "__main__":
    main()
