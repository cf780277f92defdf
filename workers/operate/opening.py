"""Open for a command what it needs and nothing else: settings, MongoDB, Redis, blobs, each when first asked for.

The only place of the `imports` command where settings are read. Everything opened is closed when the command
ends, however it ends.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import ExitStack
from datetime import datetime
from functools import cached_property
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from workers.operate.printing import Trouble

if TYPE_CHECKING:
    import redis
    from pymongo import MongoClient
    from pymongo.database import Database

    from common.blobs import Blobs
    from common.documents.database import Document
    from common.documents.groups import Groups
    from common.documents.images import Images
    from common.documents.imports import Imports
    from common.documents.organizations import Organizations
    from common.documents.overview import Overview
    from common.documents.rerenders import Rerenders
    from common.documents.users import Users
    from common.queue.dispatch import Dispatcher
    from common.settings import Settings
    from workers.credentials import Credentials


class Hands:
    """What one command holds. Properties open on first use and raise what their stores raise."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._environ = environ
        self._opened = ExitStack()

    def close(self) -> None:
        """Let go of everything that was opened."""
        self._opened.close()

    @cached_property
    def settings(self) -> Settings:
        """The settings. Raises SettingsError with every mistake."""
        from common.settings import Settings

        return Settings.load(self._environ)

    @cached_property
    def settings_for_rendering(self) -> Settings:
        """The settings of a command that touches no store and no token."""
        from common.settings import Settings

        return Settings.load(self._environ, process="render")

    @cached_property
    def mongodb(self) -> MongoClient[Document]:
        """The client of MongoDB; it connects when it is first asked something.

        Raises Trouble for a URL that cannot be read.
        """
        from pymongo.errors import ConfigurationError

        from common.documents import database

        try:
            return self._opened.enter_context(database.connect(self.settings.mongodb_url))
        except (ValueError, ConfigurationError) as error:
            raise Trouble(
                f"MONGODB_URL cannot be used ({type(error).__name__}): write it as mongodb://host:27017/imports.",
                exit_code=2,
            ) from None

    @cached_property
    def db(self) -> Database[Document]:
        """The database that the settings name."""
        from common.documents import database

        return database.database(self.mongodb)

    @cached_property
    def imports(self) -> Imports:
        """The imports."""
        from common.documents.imports import Imports

        return Imports(self.db)

    @cached_property
    def groups(self) -> Groups:
        """The import groups."""
        from common.documents.groups import Groups

        return Groups(self.db)

    @cached_property
    def images(self) -> Images:
        """The images."""
        from common.documents.images import Images

        return Images(self.db)

    @cached_property
    def rerenders(self) -> Rerenders:
        """The images that are to be rendered anew."""
        from common.documents.rerenders import Rerenders

        return Rerenders(self.db)

    @cached_property
    def organizations(self) -> Organizations:
        """The organizations."""
        from common.documents.organizations import Organizations

        return Organizations(self.db)

    @cached_property
    def users(self) -> Users:
        """The users."""
        from common.documents.users import Users

        return Users(self.db)

    @cached_property
    def overview(self) -> Overview:
        """The lists and counts of imports."""
        from common.documents.overview import Overview

        return Overview(self.db)

    @cached_property
    def redis(self) -> redis.Redis:
        """A client that gives up within a second: a person waits, and the sweeper does what was missed.

        Raises Trouble for a URL that cannot be read.
        """
        from common.queue import broker

        try:
            client = broker.door_client(self.settings.redis_url)
        except ValueError:
            raise Trouble("REDIS_URL cannot be read: write it as redis://host:6379/0.", exit_code=2) from None
        self._opened.callback(client.close)
        return client

    @cached_property
    def dispatcher(self) -> Dispatcher:
        """What dispatches to the workers."""
        from common.queue.dispatch import Dispatcher, Requests

        requests = Requests(
            per_organization=self.settings.doorbells_per_organization,
            renders_per_organization=self.settings.renders_per_organization,
            now=lambda: self.clock().timestamp(),
        )
        return Dispatcher(self.redis, requests)

    @cached_property
    def blobs(self) -> Blobs:
        """The blob store that the settings name. Raises Trouble for a URL that names none."""
        from pymongo.errors import ConfigurationError

        from common.blobs import open_blobs

        try:
            blobs = open_blobs(self.settings.blobs_url, mongodb_url=self.settings.mongodb_url)
        except (ValueError, ConfigurationError) as error:
            raise Trouble(f"BLOBS_URL cannot be used: {error}", exit_code=2) from None
        self._opened.callback(blobs.close)
        return blobs

    @cached_property
    def credentials(self) -> Credentials:
        """What encrypts Salesforce credentials."""
        from workers.credentials import Credentials

        return Credentials(self.settings.credentials_keys)

    @cached_property
    def clock(self) -> Callable[[], datetime]:
        """The store's clock, by which documents are written. Raises ConnectionFailure."""
        from common.documents.clock import StoreClock

        clock = StoreClock()
        clock.measure(lambda: self.mongodb.admin.command("hello"))
        return clock


def where(url: str) -> str:
    """Return the hosts of a store's URL for a message: no user, no password, no options."""
    split = urlsplit(url)
    return split.netloc.rpartition("@")[2] or split.path or "this machine"


def ending(hands: Hands, error: Exception) -> tuple[str, int] | None:
    """Say in one sentence why a command cannot go on, with its exit code; None for what nobody foresaw."""
    import redis
    from pymongo.errors import ConnectionFailure, PyMongoError

    from common.blobs import BlobError
    from common.settings import SettingsError
    from workers.credentials import CredentialsError

    sentence: str | None = None
    if isinstance(error, Trouble):
        return str(error), error.exit_code
    if isinstance(error, SettingsError | CredentialsError):
        return str(error), 2
    if isinstance(error, BlobError):
        sentence = f"{error} `imports doctor` looks closer."
    elif isinstance(error, ConnectionFailure):
        at = where(hands.settings.mongodb_url)
        sentence = f"MongoDB at {at} does not answer: start it, or correct MONGODB_URL (`imports doctor` looks closer)."
    elif isinstance(error, PyMongoError):
        sentence = f"MongoDB refused what was asked ({type(error).__name__}): check the rights of the user in MONGODB_URL."
    elif isinstance(error, redis.RedisError):
        at = where(hands.settings.redis_url)
        sentence = f"Redis at {at} cannot serve ({type(error).__name__}): start it, or correct REDIS_URL (`imports doctor` looks closer)."
    return None if sentence is None else (sentence, 1)
