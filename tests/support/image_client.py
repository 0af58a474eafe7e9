"""Run in a container of the image, as text: a program of a client. Asks for a home over TLS, and
shows its ticket to the unit. Arguments: server, its CA, token, client, address, CA of the unit.
Prints JSON."""

from __future__ import annotations

import json
import sys

import homeport

LIMIT_S = 60.0


def main() -> None:
    server, ca, token, client_id, address, unit_ca = sys.argv[1:]
    tls = homeport.Tls(root_certificates=ca.encode())
    with homeport.Client(server, token=token, tls=tls, timeout_s=LIMIT_S) as client:
        home = client.provision(client_id, address=address)
    unit_tls = homeport.Tls(root_certificates=unit_ca.encode())
    answer = homeport.admit(home.endpoint, home.ticket, tls=unit_tls, timeout_s=LIMIT_S)
    forged = homeport.admit(home.endpoint, home.ticket[:-4] + "AAAA", tls=unit_tls)
    print(
        json.dumps({
            "unit": home.unit_id, "endpoint": home.endpoint, "epoch": home.epoch,
            "admitted": answer.admitted, "client": answer.client_id,
            "forged admitted": forged.admitted,
        })
    )  # fmt: skip


if __name__ == "__main__":
    main()
