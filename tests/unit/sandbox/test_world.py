"""A world that cannot come up says which variable is at fault and what to do, and shows no password."""

from __future__ import annotations

import os
import socket
import time
from pathlib import Path

import pytest

from sandbox import stores, world
from sandbox.endings import Refused
from sandbox.folder import Folder
from sandbox.keeper import Keeper
from sandbox.output import Output
from sandbox.world import Options, World

CHECKOUT = Path(world.__file__).resolve().parent.parent


def test_a_named_store_that_is_silent_is_explained(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """The refusal names the variable, its host and port and the way out; so does the wait before it."""
    monkeypatch.setattr(world, "ANSWER_SECONDS", 3)
    folder, output = Folder(tmp_path / "world"), Output(tmp_path)
    folder.open()
    options = Options(port=0, data=folder.path, pictures=None, sample=False, procfile=CHECKOUT / "Procfile")
    keeper = Keeper(output, lambda _: None)
    with socket.socket() as silent:  # bound, and never listening: nobody can take the port meanwhile
        silent.bind(("127.0.0.1", 0))
        place = f"127.0.0.1:{silent.getsockname()[1]}"
        named = {"MONGODB_URL": f"mongodb://ann:hush@{place}/imports", "REDIS_URL": f"redis://{place}/0"}
        began = time.monotonic()
        try:
            with pytest.raises(Refused) as refusal:
                World(options, {**os.environ, **named}, folder, keeper, output).bring_up()
        finally:
            keeper.stop()
    assert time.monotonic() - began < 30
    assert f"MongoDB at {place}, which MONGODB_URL names," in str(refusal.value)
    assert "unset MONGODB_URL" in str(refusal.value)
    assert refusal.value.code == 1
    output.flush()
    told = capfd.readouterr().err
    assert f"waiting for MongoDB at {place}, which MONGODB_URL names, to answer" in told
    assert "hush" not in told + str(refusal.value)


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("mongodb://a:27017,b:27018/imports?replicaSet=x", "a:27017,b:27018"),
        ("mongodb+srv://ann:hush@cluster.example.com/imports", "cluster.example.com"),
        ("mongodb://ann:hu/sh@db.example.com/imports", "db.example.com"),
        ("redis://:hu@sh@cache:6379/0", "cache:6379"),
        ("unix:///run/redis.sock?db=1", "/run/redis.sock"),
    ],
)
def test_an_address_shows_no_password(url: str, shown: str) -> None:
    """Hosts and ports are shown, or the path of a socket, and nothing of who logs in."""
    assert stores.address(url) == shown


@pytest.mark.parametrize("url", ["mongodb://a:b:c@d:e/imports", "mongodb://127.0.0.1:port/imports"])
def test_an_address_that_cannot_be_one_does_not_answer(url: str) -> None:
    """A URL that the client refuses is a store that does not answer, and no traceback."""
    assert not stores.mongodb_answers(url)
    assert not stores.redis_answers(url.replace("mongodb", "redis"))
