"""`homeport apps`: applications that run in sandboxes. Building needs no server."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from console.cli.options import Output
from console.cli.output import Format, busy, show

app = typer.Typer(help="Applications: build them, submit them, see them.", no_args_is_help=True)


@app.command("build")
def build(
    folder: Annotated[Path, typer.Argument(help="Holds application.py, .js, .rs or .go.")],
    into: Annotated[
        Path | None, typer.Option("--into", help="Default: build/application.wasm in the folder.")
    ] = None,
    output: Output = Format.TABLE,
) -> None:
    """Builds an application's .wasm from its folder, with the language's own toolchain."""
    import hashlib

    from data_sharing.runtimes.building import build as build_it

    with busy(f"building {folder}"):
        built = build_it(folder, into)
    content = built.path.read_bytes()
    document = {
        "path": str(built.path),
        "kind": str(built.kind),
        "language": built.language,
        "size_bytes": len(content),
        "sha256": hashlib.sha256(content).hexdigest(),
        "fresh": built.fresh,
    }
    said = "built" if built.fresh else "nothing changed since"
    line = f"{said}: {built.path} ({built.kind}, {built.language}, {len(content):,} bytes)"
    show(document, output, lambda: line)
