"""Start a world on one machine: `python -m sandbox [--port N] [--data DIR] [--pictures DIR] [--no-sample]`.

Standard output carries one JSON line, printed when the world is ready; everything for people goes to
standard error. Ctrl-C, SIGTERM or a closed terminal ends all of it; what was imported stays in the folder.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import sys
from pathlib import Path

from sandbox import environment
from sandbox.endings import Refused, Stopped
from sandbox.folder import Folder
from sandbox.keeper import Keeper
from sandbox.output import Output
from sandbox.registry import Registry
from sandbox.world import Options, World

CHECKOUT = Path(__file__).resolve().parent.parent
INTERRUPTED = 130  # the exit code of a start that was cut short, as shells give it


def main(arguments: list[str] | None = None) -> int:
    """Run a world until someone ends it; return the exit code. Every refusal is a sentence."""
    os.umask(0o077)  # what the processes of the world write holds what callers sent
    try:
        options = read_options(arguments)
        folder = Folder(options.data)
        folder.open()
        registry = Registry(folder)
        registry.occupy()
    except Refused as refusal:
        sys.stderr.write(f"{refusal}\n")
        return refusal.code
    output = Output(folder.part("logs"))
    try:
        return _run(options, folder, registry, output)
    finally:
        output.flush()


def _run(options: Options, folder: Folder, registry: Registry, output: Output) -> int:
    keeper = Keeper(output, lambda pids: registry.write({**pids, "sandbox": os.getpid()}))
    keeper.listen()
    code = INTERRUPTED
    try:
        output.say(f"starting everything on {folder.path}")
        with output.waiting("what an earlier sandbox has left to give its work back and end"):
            registry.end_orphans(output.say)
        folder.read()
        environ, left_out = environment.of_the_person(os.environ)
        if left_out:
            output.say(f"leaving out what a sandbox's env file set in this shell: {', '.join(left_out)}")
        world = World(options, environ, folder, keeper, output)
        with output.waiting("the world to come up"):
            line, invitation = world.bring_up()
        # Whoever has stopped listening to us does not end the world by that.
        with contextlib.suppress(OSError):
            os.write(1, f"{json.dumps(line)}\n".encode())
        output.tell(invitation)
        keeper.wait()
        code = 0
    except Refused as refusal:
        output.tell(str(refusal))
        code = refusal.code
    except Stopped:
        pass
    finally:
        keeper.stop()
        with output.waiting("the last processes to end"):
            registry.end_orphans(lambda _: None, seconds=1)
        registry.release()
    output.say("ended; nothing is left running")
    return code


def read_options(arguments: list[str] | None) -> Options:
    """Read the command line. Raises Refused for what cannot be used; wrong usage exits with 2 by itself."""
    parser = argparse.ArgumentParser(
        prog="python -m sandbox", description="Start stores, a simulated Salesforce and every process."
    )
    port = os.environ.get("PORT") or "8000"
    parser.add_argument("--port", default=port, help="port of the web process, 0 for any free one (8000)")
    parser.add_argument(
        "--data", type=Path, default=CHECKOUT / "var" / "sandbox", help="folder that keeps everything"
    )
    parser.add_argument(
        "--pictures", type=Path, help="folder whose pictures Salesforce has as attachments too"
    )
    parser.add_argument("--no-sample", action="store_true", help="do not carry out a sample import")
    parser.add_argument(
        "--procfile", type=Path, default=CHECKOUT / "Procfile", help="another list of processes"
    )
    given = parser.parse_args(arguments)
    if not given.port.isdecimal() or int(given.port) > 65535:
        raise Refused(f"The port must be a number from 0 to 65535, not {given.port[:20]!r}.")
    if given.pictures is not None and not given.pictures.is_dir():
        raise Refused(f"The folder of pictures {given.pictures} is not there.")
    return Options(
        port=int(given.port),
        data=given.data.absolute(),
        pictures=None if given.pictures is None else given.pictures.absolute(),
        sample=not given.no_sample,
        procfile=given.procfile.absolute(),
    )


if __name__ == "__main__":
    raise SystemExit(main())
