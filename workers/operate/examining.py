"""Examine settings, stores, codecs, workers and organizations for `imports doctor`."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import pillow_heif
import redis
from PIL import features
from pymongo.errors import PyMongoError

from common.documents.database import Document
from common.queue import presence
from common.settings import SettingsError
from common.telemetry.checks import Check
from workers.credentials import CredentialsError, owner
from workers.operate import checks
from workers.operate.access import secrets_of
from workers.operate.opening import Hands
from workers.operate.printing import Trouble, shown

# The Procfile's processes that say they are alive; `release` ends, and `web` is asked by HTTP (`/readyz`).
PROCESSES = ("fetch", "render", "sweeper")
NEEDED = ("jpg", "zlib", "littlecms2")  # thumbnails cannot be made without them
WELCOME = ("webp", "libtiff", "jpg_2000", "avif")  # without one its own format is refused as unsupported
# What closes a breaker until a person changes something, and where: ours or in Salesforce.
NEEDS_A_PERSON = {
    "salesforce_credentials": "`imports organization update {id}`, see --help.",
    "salesforce_session": "Change it in Salesforce's Setup; `imports organization check {id}` tells whether it is right.",
}


def examined(hands: Hands) -> list[Check]:
    """Return what was found, settings first. Never raises for a store that is away."""
    try:
        strict = hands.settings.strict_stores
    except SettingsError as error:
        advice = "Correct the environment; see docs/reference/settings.md."
        return [Check("settings", "bad", mistake, advice) for mistake in error.mistakes]
    stores = [*checks.mongodb(hands), *checks.redis_store(hands)]
    if strict:
        stores = [replace(one, state="bad") if one.state == "warning" else one for one in stores]
    found = [Check("settings", "ok", "all can be read."), *_operator(hands), *stores]
    if stores[0].state == "ok":
        found += [*checks.indexes(hands), *checks.clock(hands), *checks.groups(hands)]
    found += [*checks.dispatch(hands), *checks.blobs(hands), *_codecs(), *_workers(hands)]
    return found + (_organizations(hands) if stores[0].state == "ok" else [])


def _operator(hands: Hands) -> list[Check]:
    if hands.settings.operator_password is not None:
        return []
    advice = "Set it for `web` to see them: `openssl rand -base64 18` makes one."
    return [
        Check(
            "operator", "ok", "OPERATOR_PASSWORD is not set: /dashboard and /metrics are not served.", advice
        )
    ]


def _codecs() -> list[Check]:
    lacking = [name for name in NEEDED if not features.check(name)]
    if lacking:
        advice = "Install Pillow from its wheel, as the lock has it."
        return [Check("codecs", "bad", f"Pillow lacks {', '.join(lacking)}.", advice)]
    missing = [name for name in WELCOME if not features.check(name)]
    if missing:
        detail = f"Pillow lacks {', '.join(missing)}."
        return [Check("codecs", "warning", detail, "Such pictures are refused; install Pillow's wheel.")]
    return [Check("codecs", "ok", f"all, HEIF by libheif {pillow_heif.libheif_version()}.")]


def _workers(hands: Hands) -> list[Check]:
    try:
        alive = Counter(one.process for one in presence.alive(hands.redis))
    except (redis.RedisError, Trouble):
        return []  # told already
    return [_process(name, alive[name]) for name in PROCESSES]


def _process(name: str, count: int) -> Check:
    if count:
        return Check(name, "ok", f"{count} alive.")
    return Check(
        name, "bad", "nobody is alive.", f"Start `{name}` as the Procfile says; imports wait meanwhile."
    )


def _organizations(hands: Hands) -> list[Check]:
    try:
        return [_organization(hands, one) for one in hands.organizations.list()]
    except PyMongoError as error:
        return [Check("organizations", "bad", f"cannot be read ({type(error).__name__}).", "Mend MongoDB.")]


def _organization(hands: Hands, organization: Document) -> Check:
    label, gate, identity = f"organization {organization['name']}", organization["gate"], organization["_id"]
    if organization["disabled_at"] is not None:
        advice = f"`imports organization enable {identity}` lets its imports go on."
        return Check(label, "ok", "disabled by an operator; its imports wait.", advice)
    unusable = _credentials(hands, label, organization)
    if unusable is not None and (unusable.state == "bad" or gate is None):
        return unusable
    if gate is None:
        return Check(label, "ok", "its gate is open.")
    again = shown(gate["probe_at"], hands.settings.time_zone)
    if gate["waiting_for"] in NEEDS_A_PERSON:
        return Check(label, "bad", gate["detail"], NEEDS_A_PERSON[gate["waiting_for"]].format(id=identity))
    return Check(label, "warning", gate["detail"], f"Nothing; it is tried again at {again}.")


def _credentials(hands: Hands, label: str, organization: Document) -> Check | None:
    """Return what is wrong with the credentials that are kept for an organization, or None."""
    identity, source = organization["_id"], organization["source"]
    secrets = secrets_of(source)
    if not secrets:
        advice = f"`imports organization update {identity}`, see --help."
        return Check(label, "bad", "it has no credentials.", advice)
    try:
        for name, kept in secrets.items():
            hands.credentials.unseal(kept, owner(identity, source, name))
    except CredentialsError as error:
        return Check(label, "bad", "its credentials cannot be read.", str(error))
    if all(map(hands.credentials.is_sealed, secrets.values())):
        return None
    detail = "its credentials are not bound to it: a copy of them would serve another organization."
    return Check(label, "warning", detail, "`imports organization rotate-credentials`, see --help.")
