"""Give each test of the command a world of its own: empty stores, settings, and a way to run a verb."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography.fernet import Fernet
from pymongo.database import Database
from typer.testing import CliRunner, Result

from common.documents import database
from common.documents.database import Document
from common.documents.new_imports import accepted
from common.documents.organizations import Organizations
from workers.operate.command import app

ORGANIZATION = "0a0f3d3e-5a4a-4f0e-9a53-5a3b3f7d0001"
SECRET = "a-consumer-secret-that-nobody-may-see"


@dataclass(frozen=True)
class Imports:
    """The command with the stores behind it."""

    env: dict[str, str]
    db: Database[Document]

    def run(self, *words: str, stdin: str | None = None, **env: str) -> Result:
        """Run a verb in this process."""
        return CliRunner().invoke(app, list(words), env={**self.env, **env}, input=stdin)

    def json(self, *words: str, stdin: str | None = None, code: int = 0) -> Any:
        """Run a verb with `--json` and read the one value on standard output."""
        result = self.run(*words, "--json", stdin=stdin)
        assert result.exit_code == code, (result.output, result.exception)
        return json.loads(result.stdout)

    def process(self, *words: str, stdin: str = "", **env: str) -> subprocess.CompletedProcess[str]:
        """Run a verb in a process of its own."""
        return subprocess.run(
            [sys.executable, "-m", "workers.operate", *words],
            env={"PATH": os.environ["PATH"], **self.env, **env},
            input=stdin,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    def put(self, import_id: str, *, age: float = 60, **changes: Any) -> str:
        """Write an import, accepted so many seconds ago, with what a test says of it."""
        now = datetime.now(UTC).replace(microsecond=0)
        document = accepted(
            import_id,
            organization_id=ORGANIZATION,
            user_id="0a0f3d3e-5a4a-4f0e-9a53-5a3b3f7d0002",
            params='{"attachment_id":"00P4I00000zyw3eUAA","big":123456789012345678901234567890}',
            import_type="salesforce",
            album_id="5005800000HEXCt",
            filename="photo.jpg",
            metadatas=None,
            source_type="salesforce",
            record_id="00P4I00000zyw3eUAA",
            request_id="request-1",
            now=now - timedelta(seconds=age),
            due_in=5,
        )
        document |= changes
        if document["status"] in ("failed", "succeeded", "canceled"):
            del document["due_at"], document["open"]
        self.db.imports.insert_one(document)
        return import_id

    def organization(self, organization_id: str = ORGANIZATION, **changes: Any) -> None:
        """Write an organization."""
        source = {"type": "salesforce", "login_url": "https://acme.my.salesforce.com", "client_id": "id"}
        now = datetime.now(UTC)
        Organizations(self.db).add(organization_id, name="Acme", source=source, now=now)
        if changes:
            self.db.organizations.update_one({"_id": organization_id}, {"$set": changes})


@pytest.fixture
def imports(mongodb_url: str, redis_url: str, tmp_path: Path) -> Iterator[Imports]:
    """The command on empty stores."""
    env = {
        "MONGODB_URL": mongodb_url,
        "REDIS_URL": redis_url,
        "BLOBS_URL": f"file://{tmp_path}/blobs",
        "TOKEN_SECRETS": "5e1f0c9a7b3d48620f9e8d7c6b5a4132",
        "CREDENTIALS_KEYS": Fernet.generate_key().decode(),
        "TIME_ZONE": "Europe/Paris",
    }
    with database.connect(mongodb_url) as client:
        yield Imports(env, database.database(client))
