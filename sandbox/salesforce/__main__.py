"""Run the simulated Salesforce as a process: `python -m sandbox.salesforce --port 20080 --data DIR …`."""

from __future__ import annotations

import argparse
import os
import signal
import sys
from pathlib import Path
from types import FrameType

from sandbox.salesforce.api import Api
from sandbox.salesforce.faults import Faults
from sandbox.salesforce.server import Server
from sandbox.salesforce.sessions import Sessions
from sandbox.salesforce.tables import Attachments


def main() -> int:
    """Read the options, read the pictures, and serve until SIGTERM or SIGINT."""
    parser = argparse.ArgumentParser(prog="python -m sandbox.salesforce", description=__doc__)
    parser.add_argument("--port", type=int, default=0, help="port on 127.0.0.1 (default: any free one)")
    parser.add_argument("--data", type=Path, required=True, help="folder of the drawn and the added pictures")
    parser.add_argument("--pictures", type=Path, help="folder whose files are served as attachments too")
    parser.add_argument("--client-id", default="sandbox", help="client that may log in")
    options = parser.parse_args()
    secret = os.environ.get("SALESFORCE_CLIENT_SECRET")
    if not secret:
        parser.error("SALESFORCE_CLIENT_SECRET is not set: it is the secret of --client-id")

    def leave(_signal: int, _frame: FrameType | None) -> None:
        raise SystemExit(0)

    signal.signal(signal.SIGTERM, leave)
    signal.signal(signal.SIGINT, leave)
    options.data.mkdir(parents=True, exist_ok=True)
    attachments = Attachments(options.data, options.pictures)
    attachments.load()
    sessions = Sessions({options.client_id: secret}, options.data / "clients.json")
    with Server(options.port, Api(sessions, attachments), Faults()) as server:
        sys.stderr.write(f"simulated Salesforce at {server.url}, {len(attachments.rows())} attachments\n")
        sys.stderr.flush()
        server.serve_forever(poll_interval=0.5)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
