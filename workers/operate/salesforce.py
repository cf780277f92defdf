"""Take what an operator says of an organization's Salesforce: the options, each checked before it is kept."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Annotated

import typer

from workers.operate.printing import Trouble, news
from workers.sources.salesforce.origins import Origin, OriginError

_VERSION = re.compile(r"[1-9]\d{1,2}\.0", re.ASCII)

SalesforceUrl = Annotated[
    str, typer.Option(metavar="URL", help="Its Salesforce, as in https://acme.my.salesforce.com.")
]
ClientId = Annotated[
    str, typer.Option(metavar="ID", help="Consumer key of the connected app (client credentials flow).")
]
SecretFile = Annotated[
    str | None, typer.Option(metavar="FILE", help="File with the consumer secret; `-` reads standard input.")
]
Secret = Annotated[
    str | None,
    typer.Option(metavar="SECRET", help="The secret itself; anyone on this machine can see it in `ps`."),
]
InstanceUrl = Annotated[
    str | None, typer.Option(metavar="URL", help="Where the records are, if not where one logs in.")
]
ApiVersion = Annotated[
    str | None, typer.Option(metavar="V", help="API version, as in 65.0; otherwise the setting's.")
]


def origin(option: str, url: str) -> str:
    """Return scheme and host of a Salesforce URL: https, or plain http to this machine. Raises Trouble."""
    try:
        return Origin.of(url).url
    except OriginError as error:
        raise Trouble(f"{option} {error}.", exit_code=2) from None


def version(given: str | None) -> str | None:
    """Return an API version as it is kept. Raises Trouble for what is none."""
    if given is not None and not _VERSION.fullmatch(given):
        raise Trouble("--api-version must look like 65.0.", exit_code=2)
    return given


def secret(given: str | None, file: str | None) -> str | None:
    """Return the secret from wherever it comes, without the newline that ends a file. None: not given."""
    if given is not None and file is not None:
        raise Trouble("Give either --client-secret-file or --client-secret.", exit_code=2)
    if given is None and file is None:
        return None
    if "-" in (given, file):
        secret = sys.stdin.read()
    elif file is not None:
        try:
            secret = Path(file).read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise Trouble(
                f"The secret's file cannot be read ({type(error).__name__}).", exit_code=2
            ) from None
    else:
        news("Warning: a secret on the command line is seen by everyone on this machine; use --client-secret-file.")  # fmt: skip
        secret = given or ""
    if not secret.strip():
        raise Trouble("The secret is empty.", exit_code=2)
    return secret.strip()
