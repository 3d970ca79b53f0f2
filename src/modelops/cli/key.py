"""`modelops key`: make, list, revoke API keys of the gateway, and rotate what signs them."""

import asyncio
import re
import secrets
import sys
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Annotated, Final, Literal, TypeVar

import typer
from kubernetes.aio.config import ConfigException
from rich.console import Console
from rich.table import Column, Table

from modelops.cli.duration import duration
from modelops.cluster import ApiServer, Cluster, ClusterError
from modelops.gateway.grants import GRANT_HELP, is_grant
from modelops.gateway.keys import KeyRecord
from modelops.gateway.keystore import KeyStore, UnknownKey
from modelops.gateway.observed import Standing

COLUMNS: Final = (
    "Models", "RPM", "TPM", "Concurrency", "Priority", "Created", "Expires", "State"
)  # fmt: skip
TENANT: Final = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")
SUBJECT: Final = re.compile(r"[-a-z0-9]{1,32}:[^\x00-\x1f\x7f]{1,255}")
Result = TypeVar("Result")

app = typer.Typer(no_args_is_help=True, help="API keys of the gateway.")
Namespace = Annotated[
    str, typer.Option("--namespace", "-n", help="Where the platform is installed.")
]


@app.command("create")
def create(  # noqa: PLR0913, PLR0917  as many as there are options
    tenant: Annotated[str, typer.Option(help="Who will use it: a team or a customer.")],
    models: Annotated[
        list[str], typer.Option(help="A model's name, or a beginning such as 'llama*'; repeat it.")
    ],
    rpm: Annotated[int | None, typer.Option(min=1, help="Requests per minute.")] = None,
    tpm: Annotated[int | None, typer.Option(min=1, help="Tokens per minute, in and out.")] = None,
    concurrency: Annotated[int | None, typer.Option(min=1, help="Requests at a time.")] = None,
    priority: Annotated[
        Literal["high", "standard", "low"] | None,
        typer.Option(help="Whose turn comes first at a busy model; else as its tenant's."),
    ] = None,
    expires: Annotated[str, typer.Option(help="For how long: 30d, 12h or 90m.")] = "90d",
    namespace: Namespace = "modelops-system",
) -> None:
    """Print a new API key. It is shown once and kept nowhere.

    Example: modelops key create --tenant acme --models 'llama*' --rpm 60 --tpm 100000 --expires 30d
    """
    if not TENANT.fullmatch(tenant):
        message = f"{tenant!r} is no tenant: lower-case letters, digits and '-', at most 63"
        raise typer.BadParameter(message)
    for grant in models:
        if not is_grant(grant):
            message = f"{grant!r} names no model: {GRANT_HELP}"
            raise typer.BadParameter(message)
    named = _record(tenant, models, duration(expires))
    record = replace(named, rpm=rpm, tpm=tpm, parallel=concurrency, priority=priority)
    typer.echo(_with(namespace, lambda store: store.add(record)))
    sys.stderr.write(f"{record.id} of {tenant}, until {_day(record.expires)}. Keep it: this is the "
                     f"only time it is shown.\n")  # fmt: skip


@app.command("list")
def show(namespace: Namespace = "modelops-system") -> None:
    """List the API keys, without the keys themselves."""
    now = datetime.now(UTC)
    whole = (Column(name, no_wrap=True) for name in ("Id", "Tenant"))
    rest = (Column(name, overflow="fold") for name in COLUMNS)
    table = Table(*whole, *rest, box=None, pad_edge=False)
    for standing in _with(namespace, lambda store: store.list()):
        table.add_row(*_row(standing, now))
    # What is piped to another program stands on one line each, however long.
    Console(soft_wrap=True, width=None if sys.stdout.isatty() else 1000).print(table)


@app.command("revoke")
def revoke(
    identity: Annotated[
        str,
        typer.Argument(
            metavar="ID",
            help="As `modelops key list` shows it; of others ISSUER:SUBJECT or ISSUER::JTI.",
        ),
    ],
    namespace: Namespace = "modelops-system",
) -> None:
    """Have every gateway refuse an API key, within two seconds and for good.

    Of another issuer, all tokens of a subject are refused, also later ones, or the one token with
    that `jti`; until `key restore`.

    Example: modelops key revoke corp:alice
    """
    if ":" in identity and not SUBJECT.fullmatch(identity):
        message = f"{identity!r} is not ISSUER:SUBJECT: the issuer's name in the chart, and `sub`"
        raise typer.BadParameter(message)
    _with(namespace, lambda store: store.revoke(identity))
    typer.echo(f"{identity} is revoked")


@app.command("restore")
def restore(
    subject: Annotated[str, typer.Argument(metavar="ISSUER:SUBJECT", help="As it was revoked.")],
    namespace: Namespace = "modelops-system",
) -> None:
    """Take the tokens of another issuer's subject again. A revoked API key never comes back."""
    _with(namespace, lambda store: store.restore(subject))
    typer.echo(f"tokens of {subject} are taken again")


@app.command("prune")
def prune(namespace: Namespace = "modelops-system") -> None:
    """Forget the API keys that have expired, revoked ones too. All others stay."""
    number = _with(namespace, lambda store: store.prune(datetime.now(UTC)))
    typer.echo(f"{number} expired keys are forgotten")


@app.command("rotate")
def rotate(
    drop_old: Annotated[  # noqa: FBT002  a flag of the command line
        bool, typer.Option(help="Also make all API keys signed until now invalid, at once.")
    ] = False,
    namespace: Namespace = "modelops-system",
) -> None:
    """Sign API keys with a new key; those signed before stay valid until they expire."""
    key = _with(namespace, lambda store: store.rotate())
    typer.echo(f"new API keys are signed by {key.id}")
    if drop_old:
        number = _with(namespace, lambda store: store.forget_old_signing_keys())
        typer.echo(f"what {number} earlier signing keys signed is invalid")


def _record(tenant: str, models: list[str], life: timedelta) -> KeyRecord:
    now = datetime.now(UTC)
    return KeyRecord(
        id=secrets.token_hex(8),
        tenant=tenant,
        models=tuple(models),
        created=int(now.timestamp()),
        expires=int((now + life).timestamp()),
    )


def _row(standing: Standing, now: datetime) -> tuple[str, ...]:
    record = standing.record
    if standing.foreign:
        return standing.id, *[""] * len(COLUMNS), "Revoked"
    if record is None:
        return standing.id, *[""] * len(COLUMNS), "Unreadable, refused"
    state = "Revoked" if standing.revoked else "Expired" if record.expired(now) else "Valid"
    limits = (record.rpm, record.tpm, record.parallel, record.priority)
    told = ("" if limit is None else str(limit) for limit in limits)
    times = (_day(record.created), _day(record.expires))
    return record.id, record.tenant, " ".join(record.models), *told, *times, state


def _day(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d")


def _with(namespace: str, act: Callable[[KeyStore], Awaitable[Result]]) -> Result:
    """Do something with the cluster's keys; a failure ends the command with its cause."""
    try:
        return asyncio.run(_connected(namespace, act))
    except UnknownKey as error:
        sys.exit(
            f"no API key or subject {error} is known: `modelops key list` shows those that are"
        )
    except ConfigException as error:
        sys.exit(f"no cluster to talk to ({error}): set KUBECONFIG")
    except ClusterError as error:
        sys.exit(f"the cluster refuses: {error}")


async def _connected(namespace: str, act: Callable[[KeyStore], Awaitable[Result]]) -> Result:
    server = await ApiServer.connect()
    try:
        return await act(KeyStore(Cluster(server), namespace))
    finally:
        await server.close()
