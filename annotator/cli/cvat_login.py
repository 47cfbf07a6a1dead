"""The commands ``trephine cvat login``, ``logout`` and ``whoami``.

:func:`register` adds them to the command line of :mod:`annotator.cli.main`. Heavy imports stand
inside the commands.
"""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from annotator.cli.help import CommandGroup
from annotator.cli.options import Json, examples, print_json

if TYPE_CHECKING:
    from annotator.settings.cvat import CvatSettings
    from export.cvat.client.server import AccessToken

Url = Annotated[
    str | None, typer.Argument(metavar="[URL]", help="Address of the server; else CVAT_URL.")
]
AllowHttp = Annotated[
    bool,
    typer.Option("--allow-http", help="Talk to another machine without encryption."),
]


def register(app: typer.Typer) -> None:
    """Add the group of commands around logging in."""
    cvat = typer.Typer(
        cls=CommandGroup,
        no_args_is_help=True,
        help="CVAT servers: log in, log out, see who you are there.",
    )
    login_foot = examples(
        "trephine cvat login http://localhost:8080",
        "trephine cvat login https://cvat.example.org --token",
    )
    cvat.command("login", epilog=login_foot)(login)
    cvat.command("logout", epilog=examples("trephine cvat logout http://localhost:8080"))(logout)
    cvat.command("whoami", epilog=examples("trephine cvat whoami https://cvat.example.org"))(whoami)
    app.add_typer(cvat, name="cvat")


def login(
    url: Url = None,
    token: Annotated[
        bool, typer.Option("--token", help="Ask for a token, not for user and password.")
    ] = False,
    allow_http: AllowHttp = False,
) -> None:
    """Ask for user and password, or a token, and keep a token for this server.

    The token is kept in the keyring of the system, else in a file that only you can read. The
    password is not kept. CVAT_USER and CVAT_PASSWORD, or CVAT_TOKEN, save the questions.
    """
    from export.cvat.client.credentials import Sources, login

    settings, address = _which(url, allow_http)
    kept = login(address, settings, Sources(), token)
    print(f"Logged in to {kept.info.url} (CVAT {kept.info.version}) as {kept.info.user}.")
    print(f"The token is kept in {kept.place}.")


def logout(url: Url = None) -> None:
    """Forget the token of this server; on the server it stays valid.

    To make it worthless there, too, change your password or log out on CVAT's page: that ends
    all other sessions and scripts of your user.
    """
    from export.cvat.client.token_store import TokenStore

    _, address = _which(url, allow_http=True)
    known = TokenStore().forget(address)
    print(f"Forgot the token of {address}." if known else f"No token of {address} was kept.")


def whoami(url: Url = None, allow_http: AllowHttp = False, as_json: Json = False) -> None:
    """Log in with what is known, and say which server answers and who you are there.

    With a personal access token: also what it may do, and until when.
    """
    from export.cvat.client.credentials import connect

    settings, _ = _which(url, allow_http)
    server = connect(settings)
    info, token = server.info, server.token()
    if as_json:
        shown = None if token is None else asdict(token)
        print_json({"url": info.url, "version": info.version, "user": info.user, "token": shown})
        return
    print(f"{info.user} at {info.url} (CVAT {info.version})")
    print(f"Logged in with {_rights(token, info.user)}.")


def _rights(token: AccessToken | None, user: str) -> str:
    """What a login may do, and until when."""
    if token is None:
        return f"a password or the key of a login: it may do all that {user} may"
    may = (
        "may only read: status and pull work, push does not"
        if token.read_only
        else f"may do all that {user} may"
    )
    return f"the token {token.name!r}: it {may}; valid {_until(token.expires)}"


def _until(expires: str | None) -> str:
    """Until when a token is valid, as the server wrote it, with the days that are left."""
    from datetime import UTC, datetime

    if expires is None:
        return "without an end"
    try:
        end = datetime.fromisoformat(expires)
    except ValueError:
        return f"until {expires}"
    days = ((end if end.tzinfo else end.replace(tzinfo=UTC)) - datetime.now(UTC)).days
    return f"until {end:%Y-%m-%d} ({days} days left)"


def _which(url: str | None, allow_http: bool) -> tuple[CvatSettings, str]:
    """Settings that name the server, and its address."""
    import os

    from annotator.settings.cvat import CvatSettings
    from export.cvat.client.credentials import address

    settings = CvatSettings(url=url or "", allow_http=allow_http)
    return settings, address(settings, {} if url else os.environ)
