"""Take what an operator says of an organization's Salesforce: the options, each checked before it is kept."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Annotated

import typer

from workers.operate.printing import Trouble, news

# As `workers.sources.salesforce.grants` has them; a test holds the two together.
WAYS = ("client_credentials", "jwt_bearer", "refresh_token", "password", "soap")
_VERSION = re.compile(r"[1-9]\d{1,2}\.0", re.ASCII)

SalesforceUrl = Annotated[
    str, typer.Option(metavar="URL", help="Its Salesforce, as in https://acme.my.salesforce.com.")
]
ClientId = Annotated[str | None, typer.Option(metavar="ID", help="Consumer key of the app.")]
SecretFile = Annotated[
    str | None, typer.Option(metavar="FILE", help="File with the consumer secret; `-` reads standard input.")
]
Secret = Annotated[
    str | None,
    typer.Option(metavar="SECRET", help="The secret itself; anyone on this machine can see it in `ps`."),
]
JwtKey = Annotated[
    str | None,
    typer.Option(
        metavar="FILE", help="File with the private key (PEM) of the JWT bearer flow; `-` as above."
    ),
]
Username = Annotated[
    str | None, typer.Option(metavar="NAME", help="The integration user, for JWT, password and SOAP logins.")
]
RefreshTokenFile = Annotated[
    str | None, typer.Option(metavar="FILE", help="File with the refresh token of that flow; `-` as above.")
]
PasswordFile = Annotated[
    str | None,
    typer.Option(
        metavar="FILE",
        help="File with the user's password; with --client-id by OAuth, without it by SOAP (legacy).",
    ),
]
SecurityTokenFile = Annotated[
    str | None, typer.Option(metavar="FILE", help="File with the security token that goes with a password.")
]
Grant = Annotated[
    str | None,
    typer.Option(metavar="WAY", help=f"How to log in, where the rest does not say it: {', '.join(WAYS)}."),
]
InstanceUrl = Annotated[
    str | None, typer.Option(metavar="URL", help="Where the records are, if not where one logs in.")
]
ApiVersion = Annotated[
    str | None, typer.Option(metavar="V", help="API version, as in 65.0; otherwise the setting's.")
]


def origin(option: str, url: str) -> str:
    """Return scheme and host of a Salesforce URL: https, or plain http to this machine. Raises Trouble."""
    from workers.sources.salesforce.origins import Origin, OriginError

    try:
        return Origin.of(url).url
    except OriginError as error:
        raise Trouble(f"{option} {error}.", exit_code=2) from None


def version(given: str | None) -> str | None:
    """Return an API version as it is kept. Raises Trouble for what is none."""
    if given is not None and not _VERSION.fullmatch(given):
        raise Trouble("--api-version must look like 65.0.", exit_code=2)
    return given


def file(option: str, name: str | None) -> str | None:
    """Return what a file holds, `-` being standard input, without the newline at its end. None: not given."""
    if name is None:
        return None
    if name == "-":
        text = sys.stdin.read()
    else:
        try:
            text = Path(name).read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise Trouble(
                f"The file of {option} cannot be read ({type(error).__name__}).", exit_code=2
            ) from None
    if not text.strip():
        raise Trouble(f"The file of {option} is empty.", exit_code=2)
    return text.strip()


def secret(given: str | None, named: str | None) -> str | None:
    """Return the secret from wherever it comes, without the newline that ends a file. None: not given."""
    if given is not None and named is not None:
        raise Trouble("Give either --client-secret-file or --client-secret.", exit_code=2)
    if given is None and named is None:
        return None
    if named is not None or given == "-":
        return file("--client-secret-file", "-" if named is None else named)
    news("Warning: a secret on the command line is seen by everyone on this machine; use --client-secret-file.")  # fmt: skip
    if not given or not given.strip():
        raise Trouble("The secret is empty.", exit_code=2)
    return given.strip()
