"""`python -m tests.support.attacks.attacker SERVICE NAME TARGET`: one attack, in a process of its
own and at the lowest priority. TARGET is a Target as JSON; Attempts as JSON comes back."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Mapping

import msgspec

from tests.support.attacks import credentials, floods, http_floods, ports, submissions
from tests.support.attacks.target import Attack, Attempts, Target

SERVICES = {
    "provisioner": (
        credentials.PROVISIONER,
        floods.PROVISIONER,
        ports.PROVISIONER,
        http_floods.PROVISIONER,
    ),
    "data-sharing": (
        credentials.DATA_SHARING,
        floods.DATA_SHARING,
        ports.DATA_SHARING,
        http_floods.DATA_SHARING,
        submissions.DATA_SHARING,
    ),
}
ATTACKS: Mapping[str, Mapping[str, Attack]] = {
    service: {one.name: one for kind in kinds for one in kind}
    for service, kinds in SERVICES.items()
}


def main() -> None:
    service, name, text = sys.argv[1:]
    target = msgspec.json.decode(text, type=Target)
    attempts = Attempts()
    os.nice(19)
    asyncio.run(ATTACKS[service][name].run(target, attempts))
    sys.stdout.buffer.write(msgspec.json.encode(attempts))


if __name__ == "__main__":
    main()
