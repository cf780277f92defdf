"""Let schemathesis hold the served description against the served door, over a real socket."""

from __future__ import annotations

import json
import subprocess
import sys
import uuid
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from common.documents.groups import new_group
from common.documents.new_imports import accepted
from tests.doors import NOW, ORGANIZATION_ID, USER_ID, Bytes, Door, Kept, KeptGroups, image
from tests.unit.ingest.test_server import serve

IMPORT_ID = "ab445ced-80a2-4659-beaa-e1e9b28edee5"
GROUP_ID = "3f0c1a52-5b7e-4b53-9d3f-0a6f5e2b7c11"
PASSWORD = "the operator's own"


class AnsweredAtOnce:
    """Workers that answer every dry run."""

    def ask(self, question_id: str, organization_id: str, text: str) -> bool:
        return True

    def answer(self, question_id: str) -> str:
        return json.dumps({"problems": [], "record": None, "reuses": None, "api_calls": 0})

    def done(self, question_id: str, organization_id: str) -> None:
        """Nothing is kept."""


class Fresh(list[str]):
    """Ids without end."""

    def __bool__(self) -> bool:
        return True

    def pop(self, _index: object = None) -> str:
        return str(uuid.uuid4())


@pytest.fixture
def door() -> Iterator[Door]:
    """A door with an import that has its image, and a password for its operator."""
    entry = image(IMPORT_ID)
    done = accepted(
        IMPORT_ID,
        organization_id=ORGANIZATION_ID,
        user_id=USER_ID,
        params="{}",
        import_type="salesforce",
        album_id=None,
        filename="Image123.jpg",
        metadatas=None,
        source_type="salesforce",
        record_id="00P4I00000zyw3eUAA",
        request_id="r",
        now=NOW,
        due_in=5,
    )
    done |= {
        "status": "succeeded",
        "image_id": entry["_id"],
        "stages": {"fetch": {"started_at": NOW, "ended_at": NOW + timedelta(seconds=1)}},
    }
    blobs = Bytes(**{one["key"]: b"thumb" for one in entry["thumbnails"]})
    blobs.blobs[entry["original"]["key"]] = b"original"
    group = new_group(
        GROUP_ID,
        organization_id=ORGANIZATION_ID,
        user_id=USER_ID,
        request_id="r",
        album_id="5005800000HEXCtAAP",
        source_type="salesforce",
        options={},
        now=NOW,
        due_in=5,
    )
    groups = KeptGroups({**group, "positions": 1, "fence": 1})
    groups.members = [{**done, "group_id": GROUP_ID, "group_position": 0}]
    groups.skips = [{"record_id": "00P4I00000zyw3eUAA", "code": "not_an_image"}]
    with Door(
        imports=Kept(done),
        groups=groups,
        questions=AnsweredAtOnce(),
        images=Kept(entry),
        blobs=blobs,
        operator_password=PASSWORD,
        ids=Fresh(),
        body_bytes=200_000,
    ) as made:
        yield made


@pytest.fixture
def attack(door: Door, tmp_path: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Return a run of schemathesis with the right token, password and ids."""

    def run(port: int, *, seed: int, examples: int) -> subprocess.CompletedProcess[str]:
        config = tmp_path / "schemathesis.toml"
        config.write_text(
            f"""
[auth.openapi.token]
bearer = "{door.token()}"
[auth.openapi.operator]
username = "operator"
password = "{PASSWORD}"
[parameters]
"path.import_id" = "{IMPORT_ID}"
# A dry run answers 200 to anything that can be read, and tells what is wrong with it: it has tests of its own.
"query.dry_run" = "false"
"path.group_id" = "{GROUP_ID}"
"path.image_id" = "{image("x")["_id"]}"
# No generated text is the password, so this one answers nothing but 403; its own tests log in.
[[operations]]
include-operation-id = "log_in"
warnings = false
# Its HTTP client sends some empty forms in chunks, which is refused whatever they hold. What an album or a
# cursor is, no schema says.
[checks.positive_data_acceptance]
expected-statuses = ["2xx", "303", "400", "401", "403", "404", "411", "422"]
[checks.negative_data_rejection]
expected-statuses = ["400", "401", "403", "404", "405", "411", "413", "415", "422"]
""",
            encoding="utf-8",
        )
        return subprocess.run(
            [
                *(str(Path(sys.executable).with_name("schemathesis")), "--config-file", str(config), "run"),
                *(f"http://127.0.0.1:{port}/openapi.json", "--seed", str(seed), "--no-color"),
                *("--max-examples", str(examples), "--max-response-time", "5", "--workers", "1"),
                *("--generation-database", ":memory:"),
            ],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=600,
            check=False,
        )

    return run


def judge(ended: subprocess.CompletedProcess[str]) -> None:
    """Check that nothing failed, and that nothing was left untested, which a warning would mean."""
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert "WARNINGS" not in ended.stdout, ended.stdout
    assert "Tested: 33" in ended.stdout, ended.stdout


def test_the_door_does_what_its_description_says(
    door: Door, attack: Callable[..., subprocess.CompletedProcess[str]]
) -> None:
    """Every operation, wrong methods, missing tokens, odd bodies: no answer that is not described."""
    with serve(door, header_seconds=10, drain_seconds=10) as port:
        judge(attack(port, seed=1, examples=25))


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_the_door_does_what_its_description_says_at_length(
    door: Door, attack: Callable[..., subprocess.CompletedProcess[str]], seed: int
) -> None:
    """The same, two hundred examples for each operation, three times over."""
    with serve(door, header_seconds=10, drain_seconds=10) as port:
        judge(attack(port, seed=seed, examples=200))
