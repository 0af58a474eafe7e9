"""DiskMetrics: how large a server's files are, and what room their disk has."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path

from prometheus_client.core import GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

_BESIDE = ("", "-wal", "-shm")  # SQLite's


class DiskMetrics(Collector):
    """files: databases by what they are."""

    def __init__(self, files: Mapping[str, Path]) -> None:
        self._files = files

    def collect(self) -> Iterator[Metric]:
        """For Prometheus, when somebody scrapes. A file that cannot be seen is left out."""
        size = GaugeMetricFamily(
            "homeport_disk_file_bytes",
            "Size of a database with the files beside it.",
            labels=["file"],
        )
        free = GaugeMetricFamily(
            "homeport_disk_free_bytes",
            "Room on the disk of a database, for who is not root.",
            labels=["file"],
        )
        for name, path in self._files.items():
            try:
                disk = os.statvfs(path.parent)
                parts = [Path(f"{path}{ending}") for ending in _BESIDE]
                bytes_ = sum(part.stat().st_size for part in parts if part.exists())
            except OSError:
                continue
            size.add_metric([name], bytes_)
            free.add_metric([name], disk.f_bavail * disk.f_frsize)
        yield size
        yield free
