"""What `homeport up` says may be typed next: lines that work as they are pasted."""

from __future__ import annotations

import shlex
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

from console.cli.up import _next_commands
from console.local.stack import secured
from console.local.stack_options import StackOptions
from console.local.stack_plan import SERVER, plan_stack

STORE = "etcd://127.0.0.1:7709"


def test_servers_beside_the_stack_are_secured_as_its_own(tmp_path: Path) -> None:
    data = tmp_path / "my data"
    plain = StackOptions(data_dir=data, units=Path("fleet.yaml"), store="etcd")
    stack = SimpleNamespace(grpc="127.0.0.1:7700")
    for options in (plain, secured(plain), secured(plain, mutual=True)):
        of_stack = next(one for one in plan_stack(options).programs if one.name == SERVER)
        securing = [
            one for one in map(str, of_stack.arguments)
            if one.startswith(("--tls", "--tokens", "--unit-"))
        ]  # fmt: skip
        serve, share = (
            shlex.split(line)
            for line in _next_commands(stack, options, STORE)  # type: ignore[arg-type]
            if line.startswith(("homeport serve", "homeport share"))
        )
        assert [one for one in serve if one in of_stack.arguments] == securing
        assert bool(securing) == (options.security is not None)
        assert set(securing) - set(share) == {one for one in securing if one.startswith("--unit-")}
        for line in (serve, share):
            assert line[line.index("--store-password-file") + 1] == str(data / "etcd-password")


def test_other_stores_need_no_server_beside_them(tmp_path: Path) -> None:
    options = replace(StackOptions(data_dir=tmp_path, units=Path("fleet.yaml")), store="embedded")
    stack = SimpleNamespace(grpc="127.0.0.1:7800")
    lines = _next_commands(stack, options, f"embedded:{tmp_path}/store.db")  # type: ignore[arg-type]
    assert all(line.endswith("--server 127.0.0.1:7800") for line in lines)
