"""`imports organization …`: whose attachments are fetched, from which Salesforce, and with which credentials.

A secret is encrypted before it is kept, and no verb ever prints one.
"""

from __future__ import annotations

import uuid
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from workers.operate import salesforce
from workers.operate.grouping import Group
from workers.operate.opening import Hands
from workers.operate.printing import Json, Trouble, answer, fields, line, news, shown, table, written
from workers.operate.salesforce import (
    ApiVersion,
    ClientId,
    Grant,
    InstanceUrl,
    JwtKey,
    PasswordFile,
    RefreshTokenFile,
    SalesforceUrl,
    Secret,
    SecretFile,
    SecurityTokenFile,
    Username,
)

if TYPE_CHECKING:
    from zoneinfo import ZoneInfo

    from common.documents.database import Document

Name = Annotated[str, typer.Argument(help="What people call the organization.")]
Id = Annotated[str, typer.Argument(metavar="ID", help="The organization's id.")]
NewId = Annotated[str | None, typer.Option("--id", metavar="UUID", help="Its id; made up when not given.")]


def register(app: typer.Typer) -> None:
    verbs = typer.Typer(
        cls=Group,
        no_args_is_help=True,
        help="Organizations: whose attachments are fetched, and from which Salesforce.",
    )
    verbs.command("add")(add)
    verbs.command("list")(list_)
    verbs.command("show")(show)
    verbs.command("update")(update)
    verbs.command("check")(check)
    verbs.command("rotate-credentials")(rotate)
    verbs.command("disable")(disable)
    verbs.command("enable")(enable)
    app.add_typer(verbs, name="organization")


def add(  # noqa: PLR0913 - an option each
    ctx: typer.Context,
    *,
    name: Name,
    salesforce_url: SalesforceUrl,
    client_id: ClientId = None,
    client_secret_file: SecretFile = None,
    client_secret: Secret = None,
    jwt_key: JwtKey = None,
    username: Username = None,
    refresh_token_file: RefreshTokenFile = None,
    password_file: PasswordFile = None,
    security_token_file: SecurityTokenFile = None,
    grant: Grant = None,
    id: NewId = None,  # noqa: A002 - the option's name
    instance_url: InstanceUrl = None,
    api_version: ApiVersion = None,
    json: Json = False,
) -> None:
    """Add an organization and the credentials of its Salesforce.

    Example: `imports organization add Acme --salesforce-url https://acme.my.salesforce.com
    --client-id 3MVG9… --client-secret-file secret.txt`; then `imports organization check ID`
    """
    from workers.operate import access

    hands: Hands = ctx.obj
    organization_id = new_id(id)
    new = access.given(
        grant=grant,
        client_id=client_id,
        username=username,
        client_secret=client_secret,
        client_secret_file=client_secret_file,
        jwt_key=jwt_key,
        refresh_token_file=refresh_token_file,
        password_file=password_file,
        security_token_file=security_token_file,
    )
    source = {
        "type": "salesforce",
        "login_url": salesforce.origin("--salesforce-url", salesforce_url),
        "instance_url": None if instance_url is None else salesforce.origin("--instance-url", instance_url),
        "api_version": salesforce.version(api_version),
    }
    source |= access.merged(organization_id, {}, source, new, hands.credentials)
    try:
        kept = hands.organizations.add(organization_id, name=name, source=source, now=hands.clock())
    except ValueError as error:
        raise Trouble(str(error)) from None
    _tell(hands, kept, json=json)


def list_(ctx: typer.Context, *, json: Json = False) -> None:
    """List all organizations, oldest first."""
    hands: Hands = ctx.obj
    found, zone = hands.organizations.list(), hands.settings.time_zone
    if json:
        answer([presented(organization, zone) for organization in found])
        return
    table(
        ("ID", "NAME", "SALESFORCE", "STATE"),
        ((one["_id"], one["name"], one["source"].get("login_url"), _state(one, zone)) for one in found),
    )
    if not found:
        news("There is no organization yet: `imports organization add --help`.")


def show(ctx: typer.Context, *, id: Id, json: Json = False) -> None:  # noqa: A002
    """Show one organization: where it is read, whether its gate is open, and who uses its API calls."""
    hands: Hands = ctx.obj
    _tell(hands, existing(hands, id), json=json, quota=_quota(hands, id.strip().lower()))


def update(  # noqa: PLR0913 - an option each
    ctx: typer.Context,
    *,
    id: Id,  # noqa: A002
    name: Annotated[str | None, typer.Option(metavar="NAME", help="A new name.")] = None,
    salesforce_url: Annotated[str | None, typer.Option(metavar="URL", help="A new Salesforce URL.")] = None,
    client_id: ClientId = None,
    client_secret_file: SecretFile = None,
    client_secret: Secret = None,
    jwt_key: JwtKey = None,
    username: Username = None,
    refresh_token_file: RefreshTokenFile = None,
    password_file: PasswordFile = None,
    security_token_file: SecurityTokenFile = None,
    grant: Grant = None,
    instance_url: InstanceUrl = None,
    api_version: ApiVersion = None,
    thumbnails: Annotated[
        str | None,
        typer.Option(
            metavar="RECIPE", help="Its own thumbnails, as in THUMBNAILS; '' for those of the settings."
        ),
    ] = None,
    json: Json = False,
) -> None:
    """Change an organization. Its gate opens: what was wrong may be mended now.

    Only what is given changes; a new --salesforce-url also replaces an instance URL that is not given anew.

    Example: `imports organization update ID --client-secret-file - < secret.txt`
    """
    from workers.operate import access

    hands: Hands = ctx.obj
    before = existing(hands, id)
    changes: dict[str, Any] = {}
    if salesforce_url is not None:
        changes |= {"login_url": salesforce.origin("--salesforce-url", salesforce_url), "instance_url": None}
    if instance_url is not None:
        changes["instance_url"] = salesforce.origin("--instance-url", instance_url)
    new = access.given(
        grant=grant,
        client_id=client_id,
        username=username,
        client_secret=client_secret,
        client_secret_file=client_secret_file,
        jwt_key=jwt_key,
        refresh_token_file=refresh_token_file,
        password_file=password_file,
        security_token_file=security_token_file,
    )
    if new.anything or (changes and access.secrets_of(before["source"])):
        after = {**before["source"], **changes}
        changes |= access.merged(before["_id"], before["source"], after, new, hands.credentials)
    if api_version is not None:
        changes["api_version"] = salesforce.version(api_version)
    if thumbnails is not None:
        _render_by(hands, before["_id"], thumbnails.strip())
        if not changes and name is None:
            _tell(hands, existing(hands, id), json=json)
            return
    if not changes and name is None:
        raise Trouble("Say what to change; see `imports organization update --help`.", exit_code=2)
    hands.organizations.update(before["_id"], source=changes, name=name)
    _tell(hands, existing(hands, id), json=json)


def check(ctx: typer.Context, *, id: Id, json: Json = False) -> None:  # noqa: A002
    """Log in, read the limits and every object that is needed; say what is missing and where to grant it.

    It makes about eight API calls and changes nothing; exit code 1 if an import could not be done.
    """
    from workers.operate import connection

    hands: Hands = ctx.obj
    organization = existing(hands, id)
    found = connection.checked(organization, credentials=hands.credentials, settings=hands.settings)
    if json:
        answer({"id": organization["_id"], "name": organization["name"], **found.presented()})
    else:
        table(("", "STEP", "FINDING", "WHAT TO DO"), ((one.state, one.name, one.detail, one.advice) for one in found.steps))  # fmt: skip
    if not found.ok:
        raise typer.Exit(1)


def rotate(ctx: typer.Context, *, json: Json = False) -> None:
    """Encrypt every organization's credentials anew under the first key of CREDENTIALS_KEYS.

    To replace a key: put the new one first, restart, run this, then take the old one out of the list. What
    Salesforce knows does not change, so sessions go on. A credential that an earlier release kept without its owner
    is bound to its organization and address by this; once its old key is gone, no copy of it can be used.
    """
    from workers.credentials import CredentialsError
    from workers.operate import access

    hands: Hands = ctx.obj
    done, unreadable = [], []
    for organization in hands.organizations.list():
        try:
            changes = access.rotated(organization["_id"], organization["source"], hands.credentials)
        except CredentialsError as error:
            unreadable.append({"id": organization["_id"], "detail": str(error)})
            continue
        if hands.organizations.reencrypted(organization, changes):
            done.append(organization["_id"])
    if json:
        answer({"rotated": done, "unreadable": unreadable})
    else:
        line(f"{len(done)} organizations are encrypted under the first key.")
    for one in unreadable:
        news(f"Organization {one['id']}: {one['detail']}")
    if unreadable:
        raise typer.Exit(1)


def disable(ctx: typer.Context, *, id: Id, json: Json = False) -> None:  # noqa: A002
    """Refuse the tokens of its users at once and let its imports wait; nothing is lost."""
    hands: Hands = ctx.obj
    hands.organizations.disable(existing(hands, id)["_id"], now=hands.clock())
    _tell(hands, existing(hands, id), json=json)


def enable(ctx: typer.Context, *, id: Id, json: Json = False) -> None:  # noqa: A002
    """Accept its users again and let its imports go on."""
    hands: Hands = ctx.obj
    hands.organizations.enable(existing(hands, id)["_id"])
    _tell(hands, existing(hands, id), json=json)


def existing(hands: Hands, organization_id: str) -> Document:
    """Return an organization. Raises Trouble where there is none such."""
    found = hands.organizations.find(organization_id.strip().lower())
    if found is None:
        raise Trouble(f"There is no organization {organization_id!r}: see `imports organization list`.")
    return found


def _render_by(hands: Hands, organization_id: str, thumbnails: str) -> None:
    """Give an organization its own recipe; images that exist keep theirs until `imports rerender`."""
    from workers.imaging.variants import parse

    try:
        parse(thumbnails or hands.settings.thumbnails)
    except ValueError as mistake:
        raise Trouble(f"--thumbnails {mistake}.", exit_code=2) from None
    hands.organizations.render_by(organization_id, thumbnails or None)


def presented(organization: Document, zone: ZoneInfo) -> dict[str, Any]:
    """Show an organization to a machine: all but its secret."""
    source, gate = organization["source"], organization["gate"]
    open_fields = ("type", "login_url", "instance_url", "grant", "client_id", "username", "api_version")
    return {
        "id": organization["_id"],
        "name": organization["name"],
        "source": {field: source.get(field) for field in open_fields},
        "gate": gate
        and {
            "waiting_for": gate["waiting_for"],
            "code": gate["code"],
            "detail": gate["detail"],
            "since": written(gate["since"], zone),
            "probe_at": written(gate["probe_at"], zone),
            "expected_at": written(gate.get("expected_at"), zone),
        },
        "thumbnails": organization.get("thumbnails"),
        "disabled_at": written(organization["disabled_at"], zone),
        "created_at": written(organization["created_at"], zone),
    }


def new_id(given: str | None) -> str:
    """Return the id that was asked for, in lower case, or a new one. Raises Trouble for what is no UUID."""
    if given is None:
        return str(uuid.uuid4())
    try:
        return str(uuid.UUID(given.strip()))
    except ValueError:
        raise Trouble("--id must be a UUID, or leave it out and one is made.", exit_code=2) from None


def _quota(hands: Hands, organization_id: str) -> dict[str, Any] | None:
    """Return what is known of an organization's API calls; None where nothing is, or Redis is away."""
    import redis

    from common.queue import allowance

    try:
        usage = allowance.read(hands.redis, organization_id, now=hands.clock().timestamp())
    except redis.RedisError:
        return None
    if usage is None:
        return None
    settings = hands.settings
    return {
        "limit": usage.limit,
        "used": usage.used,
        "left": usage.left,
        "used_by_imports": usage.ours,
        "used_by_others": max(0, usage.used - usage.ours),
        "reserve": int(usage.limit * settings.salesforce_reserve_percent / 100),
        "floor": int(usage.limit * settings.salesforce_floor_percent / 100),
        "as_of": written(datetime.fromtimestamp(usage.at, UTC), settings.time_zone),
    }


def _tell(hands: Hands, organization: Document, *, json: bool, quota: dict[str, Any] | None = None) -> None:
    zone = hands.settings.time_zone
    if json:
        answer({**presented(organization, zone), "quota": quota})
        return
    source = organization["source"]
    fields(
        {
            "id": organization["_id"],
            "name": organization["name"],
            "state": _state(organization, zone),
            "Salesforce": source.get("login_url"),
            "records at": source.get("instance_url"),
            "API version": source.get("api_version"),
            "client id": source.get("client_id"),
            "login by": source.get("grant"),
            "user": source.get("username"),
            "API calls of 24 h": quota
            and f"{quota['used']} of {quota['limit']} used, {quota['used_by_imports']} of them by imports;"
            f" groups leave {quota['reserve']}, single imports {quota['floor']}",
            "thumbnails": organization.get("thumbnails"),
            "added": shown(organization["created_at"], zone),
        }
    )
    if organization["gate"] is not None:
        line(f"\n{organization['gate']['detail']}")


def _state(organization: Document, zone: ZoneInfo) -> str:
    if organization["disabled_at"] is not None:
        return f"disabled since {shown(organization['disabled_at'], zone)}; its imports wait"
    gate = organization["gate"]
    if gate is not None:
        return f"waits for {gate['waiting_for']}, tried again at {shown(gate['probe_at'], zone)}"
    return "serves"
