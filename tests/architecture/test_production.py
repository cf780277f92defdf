"""What runs in production is what the Procfile says, in a container that may do nothing else."""

from __future__ import annotations

import fnmatch
import re
import shlex
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import pytest
import yaml

from common.settings import TABLE
from tests.architecture.tree import PACKAGES, ROOT

COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text(encoding="utf-8"))
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
DOCKERFILE = (ROOT / "Dockerfile").read_text(encoding="utf-8").replace("\\\n", " ")
PROCFILE = dict(
    line.split(": ", 1)
    for line in (ROOT / "Procfile").read_text(encoding="utf-8").splitlines()
    if line.strip()
)
STORES = ("mongodb", "redis")


def lines(instruction: str) -> list[str]:
    """Return what follows each `instruction` of the Dockerfile's last stage."""
    stage = DOCKERFILE.rsplit("\nFROM ", 1)[1]
    return re.findall(rf"^{instruction}\s+(.+)$", stage, flags=re.MULTILINE)


def test_every_process_runs_with_the_command_of_the_procfile() -> None:
    """There is one list of processes; nobody is forgotten in production and nothing runs differently there."""
    commands = {name: service.get("command") for name, service in SERVICES.items() if name not in STORES}
    assert commands == PROCFILE


def test_the_image_alone_is_the_door() -> None:
    """`docker run` without a command starts `web` as the Procfile does."""
    (command,) = lines("CMD")
    assert shlex.join(yaml.safe_load(command)) == PROCFILE["web"]


def test_release_comes_first() -> None:
    """No process meets a database whose indexes are not made: each waits until `release` has succeeded."""
    for name in PROCFILE.keys() - {"release"}:
        assert SERVICES[name]["depends_on"]["release"]["condition"] == "service_completed_successfully", name
    waits = {store: SERVICES["release"]["depends_on"][store]["condition"] for store in STORES}
    assert waits == dict.fromkeys(STORES, "service_healthy")
    assert SERVICES["release"]["restart"] == "no"


@pytest.mark.parametrize("name", SERVICES)
def test_a_container_may_do_nothing_else(name: str) -> None:
    """A process that is taken over has no privilege, no writable program and no more than its share."""
    service = SERVICES[name]
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert service["read_only"] is True
    assert int(service["user"].split(":")[0]) > 0
    assert service["mem_limit"]
    assert service["pids_limit"] > 0
    assert any(mount.startswith("/tmp:") for mount in service["tmpfs"])  # noqa: S108 - a path in the container
    assert service["stop_grace_period"] == "30s"
    assert not {"privileged", "cap_add", "network_mode", "pid", "ipc"} & set(service)
    assert not any("docker.sock" in str(volume) for volume in service.get("volumes", []))


def test_only_the_door_is_published() -> None:
    """A store or a worker that listens to the world would be a second door without a lock."""
    assert {name for name, service in SERVICES.items() if service.get("ports")} == {"web"}
    assert all(str(port).startswith("${PUBLISH:-127.0.0.1:") for port in SERVICES["web"]["ports"])
    assert COMPOSE["networks"]["stores"] == {"internal": True}
    assert {name for name, service in SERVICES.items() if "outside" in service["networks"]} == {
        "web",
        "fetch",
    }


def test_redis_keeps_what_it_was_told() -> None:
    """Doorbells survive a restart, are never evicted, and nobody rings without the password."""
    conf = dict(line.split(" ", 1) for line in COMPOSE["configs"]["redis"]["content"].splitlines())
    assert conf["appendonly"] == "yes"
    assert conf["maxmemory-policy"] == "noeviction"
    assert conf["requirepass"] == "${REDIS_PASSWORD}"
    assert "redis:/data" in SERVICES["redis"]["volumes"]


def test_mongodb_is_a_replica_set() -> None:
    """Majority and journaled writes mean something only there; healthy means that it can be written."""
    assert "--replSet rs0" in SERVICES["mongodb"]["command"][-1]
    assert "--keyFile" in SERVICES["mongodb"]["command"][-1]
    check = SERVICES["mongodb"]["healthcheck"]["test"][-1]
    assert "rs.initiate" in check
    assert "isWritablePrimary" in check
    assert SERVICES["web"]["environment"]["MONGODB_URL"].endswith("?replicaSet=rs0")


def test_blobs_are_shared() -> None:
    """What `fetch` and `render` write is what `web` serves, and `web` cannot write it."""
    mounts = {
        name: [volume for volume in SERVICES[name].get("volumes", []) if volume.startswith("blobs:")]
        for name in PROCFILE
    }
    path = SERVICES["web"]["environment"]["BLOBS_URL"].removeprefix("file://")
    assert mounts == {name: [f"blobs:{path}:ro" if name == "web" else f"blobs:{path}"] for name in PROCFILE}
    assert path in DOCKERFILE


@pytest.mark.parametrize("name", ["fetch", "render"])
def test_the_spool_is_writable(name: str) -> None:
    """Under a read-only root, attachments in work need a place of their own, and it belongs to the process."""
    service = SERVICES[name]
    owner = "uid={},gid={}".format(*service["user"].split(":"))
    spool = [
        mount for mount in service["tmpfs"] if mount.startswith(service["environment"]["SPOOL_DIR"] + ":")
    ]
    assert len(spool) == 1
    assert owner in spool[0]


@pytest.mark.parametrize("name", PROCFILE)
def test_every_setting_can_be_given(name: str) -> None:
    """A setting reaches the containers that read it, or it would be without effect, and a secret no other."""
    assert set(SERVICES[name]["environment"]) == {setting.name for setting in TABLE if setting.is_for(name)}


def test_what_decodes_pictures_is_given_no_secret() -> None:
    """A hole in a decoder finds no key of Salesforce's credentials there, none that signs tokens, no password."""
    named = set(SERVICES["render"]["environment"])
    assert not named & {"TOKEN_SECRETS", "CREDENTIALS_KEYS", "OPERATOR_PASSWORD"}
    assert "TOKEN_SECRETS" in SERVICES["web"]["environment"]
    assert "CREDENTIALS_KEYS" in SERVICES["fetch"]["environment"]


def test_secrets_have_no_default() -> None:
    """A secret that nobody set stops the start; one with a default is known to everyone."""
    text = (ROOT / "docker-compose.yml").read_text(encoding="utf-8")
    named = set(re.findall(r"\$\{([A-Z_]*(?:PASSWORD|SECRET|KEY)[A-Z_]*)", text))
    assert named
    for name in named:
        uses = re.findall(rf"\$\{{{name}(.*?)\}}", text)
        assert any(use.startswith(":?") for use in uses), name
        assert not any(use.startswith((":-", "-")) for use in uses), name


def test_the_image_runs_as_nobody_in_particular() -> None:
    """The image itself is not root, and its user is the one that compose names."""
    (user,) = lines("USER")
    assert user == SERVICES["web"]["user"]
    assert f"--owner {user.split(':')[0]} --group {user.split(':')[1]}" in DOCKERFILE


def test_the_image_holds_only_locked_packages() -> None:
    """Whatever pip installs in the image is either checked by hash or our own wheel, built without the net."""
    installs = re.findall(r"pip install ([^&\n]+)", DOCKERFILE)
    assert installs
    assert all("--require-hashes" in install or "--no-index" in install for install in installs)
    assert "requirements-production.lock" in installs[0]


def test_the_build_sees_only_what_it_copies() -> None:
    """Secrets and leftovers of a checkout never enter the build; what the Dockerfile copies does."""
    rules = [
        line
        for line in (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
        if line and not line.startswith("#")
    ]
    assert rules[0] == "*"
    let_in = {rule.removeprefix("!") for rule in rules if rule.startswith("!")}
    copied = {
        source
        for line in re.findall(r"^COPY (?!--from)(.+)$", DOCKERFILE, flags=re.MULTILINE)
        for source in line.split()[:-1]
    }
    assert copied == let_in
    assert not any(fnmatch.fnmatch(".env", rule) or fnmatch.fnmatch("sandbox", rule) for rule in let_in)


def test_the_wheel_holds_every_file_of_the_packages(tmp_path: Path) -> None:
    """A page or a style sheet beside the code is shipped too, not only what ends in .py."""
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    for package in PACKAGES:
        shutil.copytree(ROOT / package, tmp_path / package, ignore=shutil.ignore_patterns("__pycache__"))
    subprocess.run(
        [sys.executable, "-c", "from setuptools import build_meta; build_meta.build_wheel('.')"],
        cwd=tmp_path,
        check=True,
        capture_output=True,
        timeout=60,
    )
    (wheel,) = tmp_path.glob("*.whl")
    shipped = {name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name}
    there = {
        str(path.relative_to(ROOT))
        for package in PACKAGES
        for path in (ROOT / package).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert shipped == there
