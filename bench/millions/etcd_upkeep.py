"""Compaction and defragmentation of the etcd that a stack has started, by its JSON gateway."""

from __future__ import annotations

import http.client
import json
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

WITHIN_S = 1_800.0  # while it defragments, it answers nobody


class EtcdUpkeep:
    """facts: of the stack, as its ready file has them."""

    def __init__(self, facts: Mapping[str, Any]) -> None:
        self._address = str(facts["store"]).removeprefix("etcd://")
        self._token = ""
        said = self._asked(
            "/v3/auth/authenticate",
            {
                "name": facts["store_user"],
                "password": Path(facts["store_password_file"]).read_text().strip(),
            },
        )
        self._token = said["token"]

    def status(self) -> dict[str, int]:
        """Bytes of its database: allotted, and in use; keys' revision."""
        said = self._asked("/v3/maintenance/status", {})
        return {
            "bytes": int(said.get("dbSize", 0)),
            "bytes_in_use": int(said.get("dbSizeInUse", 0)),
            "revision": int(said["header"]["revision"]),
        }

    def compact(self) -> float:
        """Forgets all history; seconds until it is gone from the disk."""
        began, revision = time.monotonic(), self.status()["revision"]
        self._asked("/v3/kv/compaction", {"revision": str(revision), "physical": True})
        return time.monotonic() - began

    def defragment(self) -> float:
        """Gives free pages back to the disk; seconds in which nobody was answered."""
        began = time.monotonic()
        self._asked("/v3/maintenance/defragment", {})
        return time.monotonic() - began

    def _asked(self, path: str, what: Mapping[str, Any]) -> dict[str, Any]:
        connection = http.client.HTTPConnection(self._address, timeout=WITHIN_S)
        headers = {"authorization": self._token} if self._token else {}
        try:
            connection.request("POST", path, json.dumps(what), headers)
            answer = connection.getresponse()
            said: dict[str, Any] = json.loads(answer.read())
            if answer.status != 200:
                raise RuntimeError(f"etcd answers {path} with {answer.status}: {said}")
            return said
        finally:
            connection.close()
