"""Tell which Salesforce the sample organization imports from: the simulated one, or one of the environment."""

from __future__ import annotations

import secrets
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from sandbox.child import Child
from sandbox.endings import Refused
from sandbox.folder import Folder
from sandbox.keeper import GROUND

CLIENT_ID = "sandbox"


@dataclass(frozen=True, slots=True)
class Salesforce:
    """Where an organization's Salesforce is and how its client logs in."""

    url: str
    client_id: str
    client_secret: str = field(repr=False)
    simulated: bool


def named(environ: Mapping[str, str]) -> Salesforce | None:
    """Return the Salesforce that the environment names, or None. Raises Refused when half of it is missing."""
    url = environ.get("SALESFORCE_URL", "").strip().rstrip("/")
    if not url:
        return None
    client_id, secret = environ.get("SALESFORCE_CLIENT_ID", ""), environ.get("SALESFORCE_CLIENT_SECRET", "")
    if not secret and (file := environ.get("SALESFORCE_CLIENT_SECRET_FILE")):
        try:
            secret = Path(file).read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError):
            raise Refused("The file that SALESFORCE_CLIENT_SECRET_FILE names cannot be read.") from None
    if not client_id or not secret:
        raise Refused(
            "SALESFORCE_URL is set: set SALESFORCE_CLIENT_ID and SALESFORCE_CLIENT_SECRET "
            "(or SALESFORCE_CLIENT_SECRET_FILE) too, or none of them."
        )
    return Salesforce(url, client_id, secret, simulated=False)


def simulated(folder: Folder, port: int) -> Salesforce:
    """Return the simulated Salesforce of this world."""
    secret = folder.secret("salesforce_client_secret", lambda: secrets.token_urlsafe(32)).read_text()
    return Salesforce(f"http://127.0.0.1:{port}", CLIENT_ID, secret, simulated=True)


def process(
    salesforce: Salesforce,
    folder: Folder,
    environment: Mapping[str, str],
    *,
    pictures: Path | None,
    checkout: Path,
) -> Child:
    """Describe the process that plays the simulated Salesforce; its secret travels in the environment."""
    words = [sys.executable, "-m", "sandbox.salesforce", "--port", salesforce.url.rpartition(":")[2]]
    words += ["--data", str(folder.part("salesforce")), "--client-id", salesforce.client_id]
    words += ["--pictures", str(pictures)] if pictures is not None else []
    secretive = {**environment, "SALESFORCE_CLIENT_SECRET": salesforce.client_secret}
    return Child("salesforce", words, secretive, checkout, GROUND)
