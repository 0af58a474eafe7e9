"""The JSON Schemas that docs/reference publishes, made from what reads the documents.

python -m data_sharing.rules.published docs/reference
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import msgspec

from data_sharing.rules.spec import RulesDocument
from data_sharing.sharing.policy import SharingDocument

DIALECT = "https://json-schema.org/draft/2020-12/schema"


def schema_of(kind: type[Any], title: str) -> str:
    """As it stands in the file."""
    document = {"$schema": DIALECT, "title": title, **msgspec.json.schema(kind)}
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


def rules_schema() -> str:
    return schema_of(RulesDocument, "Rules and forecasts of Homeport")


def sharing_schema() -> str:
    return schema_of(SharingDocument, "Sharing policies of Homeport")


if __name__ == "__main__":
    folder = Path(sys.argv[1])
    (folder / "rules.schema.json").write_text(rules_schema(), encoding="utf-8")
    (folder / "sharing.schema.json").write_text(sharing_schema(), encoding="utf-8")
