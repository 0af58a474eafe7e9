"""The options and arguments that commands about names share, spelled once."""

from __future__ import annotations

from typing import Annotated, TypeAlias

import typer

Handle: TypeAlias = Annotated[
    str, typer.Argument(help="The handle, with or without @.", metavar="HANDLE")
]
Rename: TypeAlias = Annotated[
    bool,
    typer.Option(
        "--rename", help="It takes the place of the handle that the account has, which is freed."
    ),
]
Account: TypeAlias = Annotated[
    str, typer.Option("--account", help="The account: a client's id.", metavar="CLIENT")
]
OfferedTo: TypeAlias = Annotated[
    str, typer.Option("--to", help="The account that may accept it.", metavar="CLIENT")
]
Offered: TypeAlias = Annotated[
    str, typer.Argument(help="The offer, as it was made.", metavar="OFFER")
]
Uri: TypeAlias = Annotated[
    str,
    typer.Argument(
        help="An address, a number with its +, or a URI: mailto:, tel:, sip:, sips: or xmpp:",
        metavar="URI",
    ),
]
Code: TypeAlias = Annotated[str, typer.Argument(help="The code, as it was sent.", metavar="CODE")]
Findable: TypeAlias = Annotated[
    bool, typer.Option("--findable", help="Others find the account by it.")
]
