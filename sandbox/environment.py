"""Decide what the processes of the world read in their environment.

What the person has set is passed on as it is; the sandbox fills in the rest, each setting only where
neither NAME nor NAME_FILE is there, since the settings table refuses one that is given twice.
"""

from __future__ import annotations

import base64
import json
import os
import secrets
import shlex
import sys
from collections.abc import Mapping
from pathlib import Path

from common.settings import TABLE, Settings, SettingsError
from sandbox import processes
from sandbox.endings import Refused
from sandbox.folder import Folder

COMMANDS_NEED = (
    "MONGODB_URL",
    "REDIS_URL",
    "BLOBS_URL",
    "SPOOL_DIR",
    "TOKEN_SECRETS_FILE",
    "CREDENTIALS_KEYS_FILE",
    "OPERATOR_PASSWORD_FILE",
)
# What the lines for a shell have set, as a JSON object, since a path may hold anything, line breaks included. Without
# it, a sandbox that is started from such a shell would take the embedded stores of an earlier one for stores that
# the person has named.
SHELL_MARK = "SANDBOX_ENV"


def is_given(environ: Mapping[str, str], name: str) -> bool:
    """Tell whether a person has set a setting, as text or by its file."""
    return given_as(environ, name) is not None


def given_as(environ: Mapping[str, str], name: str) -> str | None:
    """Return the variable by which a person has set a setting, NAME or NAME_FILE; None where neither is set."""
    return next((variable for variable in (name, f"{name}_FILE") if environ.get(variable)), None)


def of_the_person(environ: Mapping[str, str]) -> tuple[dict[str, str], list[str]]:
    """Return the environment without what the lines of `for_shell` have set in it, and the names left out.

    A variable that was given another value since then is the person's own, and stays.
    """
    ours = _marked(environ.get(SHELL_MARK, ""))
    left_out = [name for name, text in environ.items() if ours.get(name) == text]
    kept = {name: text for name, text in environ.items() if name not in (SHELL_MARK, *left_out)}
    return kept, left_out


def _marked(mark: str) -> dict[str, object]:
    """Read the mark; one that is none marks nothing, so that all is the person's own."""
    try:
        read = json.loads(mark)
    except (ValueError, RecursionError):
        return {}
    return read if isinstance(read, dict) else {}


def for_programs(environ: Mapping[str, str], folder: Folder, checkout: Path) -> dict[str, str]:
    """Return what every program of the world gets: this checkout's code and programs first, and the mark."""
    filled = {name: text for name, text in environ.items() if not name.startswith("SALESFORCE_CLIENT_")}
    filled["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), environ.get("PATH") or os.defpath])
    filled["PYTHONPATH"] = os.pathsep.join(filter(None, [str(checkout), environ.get("PYTHONPATH")]))
    filled.setdefault("PYTHONUNBUFFERED", "1")  # a log line is to be seen when it is written
    filled[processes.MARK] = folder.mark
    if sys.stderr.isatty():
        filled.setdefault(
            "LOG_FORMAT", "console"
        )  # the children write into pipes and cannot see the terminal
    return filled


def for_children(
    programs: Mapping[str, str], folder: Folder, *, mongodb_url: str, redis_url: str, port: int
) -> dict[str, str]:
    """Return the environment of the Procfile's processes."""
    ours = {
        "MONGODB_URL": mongodb_url,
        "REDIS_URL": redis_url,
        "BLOBS_URL": folder.part("blobs").as_uri(),
        "SPOOL_DIR": str(folder.part("spool")),
        "HOST": "127.0.0.1",
        "TOKEN_SECRETS_FILE": str(folder.secret("token_secrets", lambda: secrets.token_hex(32))),
        "CREDENTIALS_KEYS_FILE": str(folder.secret("credentials_keys", _fernet_key)),
        "OPERATOR_PASSWORD_FILE": str(folder.secret("operator", lambda: secrets.token_urlsafe(18))),
    }
    filled = dict(programs)
    for name, text in ours.items():
        if not is_given(programs, name.removesuffix("_FILE")):
            filled[name] = text
    filled.pop("PORT_FILE", None)
    filled["PORT"] = str(port)
    return filled


def for_process(children: Mapping[str, str], name: str) -> dict[str, str]:
    """Return what one process of the Procfile gets: all but the secrets that others read."""
    others = {setting.name for setting in TABLE if not setting.is_for(name)}
    return {key: text for key, text in children.items() if key.removesuffix("_FILE") not in others}


def for_shell(children: Mapping[str, str], environ: Mapping[str, str]) -> str:
    """Return lines for a person's shell, in which `imports` then finds this world's stores.

    What the person has set stands in that shell already, and may be a secret: it is not written down.
    """
    ours = {
        name: children[name] for name in COMMANDS_NEED if not is_given(environ, name.removesuffix("_FILE"))
    }
    ours[SHELL_MARK] = json.dumps(ours)
    return "".join(f"export {name}={shlex.quote(text)}\n" for name, text in ours.items())


def settings(environment: Mapping[str, str]) -> Settings:
    """Read the settings as the processes will. Raises Refused with every mistake at once."""
    try:
        return Settings.load(environment)
    except SettingsError as error:
        raise Refused(str(error)) from None


def _fernet_key() -> str:
    return base64.urlsafe_b64encode(secrets.token_bytes(32)).decode()
