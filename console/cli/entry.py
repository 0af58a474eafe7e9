"""Where the `homeport` command begins: says what to install when only the SDK is there."""

from __future__ import annotations

import importlib.util
import sys

NEEDED = ("typer", "rich", "pydantic", "yaml")


def main() -> None:
    """The command; exit code 1 with one sentence where its packages are missing."""
    missing = [name for name in NEEDED if importlib.util.find_spec(name) is None]
    if missing:
        print(
            f"homeport: the command needs {', '.join(missing)}; "
            "run `pip install 'homeport[server,local]'` (the client library works without)",
            file=sys.stderr,
        )
        raise SystemExit(1)
    from console.cli.main import main as run

    run()
