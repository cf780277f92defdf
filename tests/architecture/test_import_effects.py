"""Importing a module does nothing but define things, whatever the order and the machine."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from tests.architecture.tree import PACKAGES, ROOT, module_name, sources

# Runs in a process of its own. Whoever opens, connects, starts or reads the environment is blamed only if a
# file of ours stands nearer on the stack than the import system: libraries may do as they like.
PROBE = """
import json, os, sys, threading

root, modules = sys.argv[1], json.loads(sys.argv[2])
blamed = []
EFFECTS = ("open", "os.mkdir", "os.listdir", "os.scandir", "os.fork", "os.posix_spawn", "subprocess.Popen",
           "socket.__new__", "socket.bind", "socket.connect", "tempfile.mkstemp", "signal.signal")

def ours():
    frame = sys._getframe(2)
    while frame is not None:
        file = frame.f_code.co_filename
        if "importlib" in file:
            return None
        # Asking for the system's folder of temporary files is how SPOOL_DIR gets its default.
        if file.endswith("tempfile.py"):
            return None
        if file.startswith(root) and "/.venv/" not in file:
            return f"{file.removeprefix(root)}:{frame.f_lineno}"
        frame = frame.f_back
    return None

def watch(event, arguments):
    if event in EFFECTS and (place := ours()):
        blamed.append(f"{place} {event}")

class Watched(type(os.environ)):
    def __getitem__(self, name):
        if place := ours():
            blamed.append(f"{place} reads {name} from the environment")
        return super().__getitem__(name)

sys.path.insert(0, root)
os.environ.__class__ = Watched
sys.addaudithook(watch)
for module in modules:
    __import__(module)

def sockets():
    for name in os.listdir("/proc/self/fd"):
        try:
            target = os.readlink(f"/proc/self/fd/{name}")
        except OSError:
            continue
        if target.startswith("socket:"):
            yield target

broker = sys.modules["dramatiq.broker"].global_broker if "dramatiq.broker" in sys.modules else None
print(json.dumps({
    "blamed": blamed,
    "threads": [thread.name for thread in threading.enumerate()],
    "tasks": len(os.listdir("/proc/self/task")) if sys.platform == "linux" else 1,
    "sockets": list(sockets()) if sys.platform == "linux" else [],
    "broker": None if broker is None else repr(broker),
}))
"""


def importing(modules: list[str]) -> dict[str, object]:
    """Import `modules` in a new process and return what it noticed."""
    answer = subprocess.run(
        [sys.executable, "-I", "-W", "error", "-c", PROBE, f"{ROOT}/", json.dumps(modules)],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        stdin=subprocess.DEVNULL,
    )
    assert answer.returncode == 0, answer.stderr
    seen: dict[str, object] = json.loads(answer.stdout)
    return seen


def modules_of(package: str) -> list[str]:
    return [module_name(path) for path in sources(package) if path.stem != "__main__"]


@pytest.mark.parametrize("package", PACKAGES)
def test_importing_opens_and_reads_nothing(package: str) -> None:
    """No file, socket, process or setting is touched, and no broker is bound, before somebody asks for it."""
    seen = importing(modules_of(package))
    assert seen["blamed"] == []
    assert seen["threads"] == ["MainThread"]
    assert seen["sockets"] == []
    assert seen["broker"] is None, (
        "an actor was declared at import time, and dramatiq made a broker of its own"
    )


def test_the_probe_notices() -> None:
    """The probe above is no ornament: each forbidden effect, done by one of our modules, is seen."""
    seen = importing(["tests.architecture.misbehaving"])
    assert {text.split(" ", 1)[1] for text in seen["blamed"]} == {  # type: ignore[attr-defined]
        "open",
        "socket.__new__",
        "reads HOME from the environment",
    }
    assert seen["threads"] != ["MainThread"]
    assert seen["sockets"] != []
    assert seen["broker"] is not None


def test_common_is_ours() -> None:
    """The packages have plain names; an installed one of the same name must not take their place."""
    for package in PACKAGES:
        assert __import__(package).__file__ == str(ROOT / package / "__init__.py")


@pytest.mark.parametrize("module", ["workers.operate.command", "workers.main", "workers.sweeper"])
def test_the_client_library_is_loaded_by_who_speaks_to_salesforce(module: str) -> None:
    """It takes most of a second and 15 MB: no command and no render worker pays for what it does not use."""
    asked = f"import {module}, sys; print('simple_salesforce' in sys.modules)"
    told = subprocess.run([sys.executable, "-c", asked], cwd=ROOT, capture_output=True, text=True, check=True)
    assert told.stdout.strip() == "False"
