"""The data-sharing servers of a local stack whose feeds are on NATS, one for each partition."""

from __future__ import annotations

from console.local.stack_options import StackOptions


def worker_arguments(options: StackOptions, host: str, number: int) -> tuple[str, ...]:
    """Where server `number` listens, and how it reaches the others, where there are several."""
    port = options.feeds_port + 2 * number if options.feeds_port else 0
    count, security = options.feeds_partitions, options.security
    return (
        f"--listen={host}:{port}",
        f"--http-listen={host}:{port + 1 if port else 0}",
        "--metrics-listen=",
        *([f"--feeds-partitions={count}"] if count > 1 else []),
        *([f"--feeds-servers-ca={security.ca}"] if count > 1 and security is not None else []),
    )
