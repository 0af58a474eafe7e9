"""The JSON Schema of an event plan, as docs/reference publishes it.

python -m data_sharing.plans.published docs/reference
"""

from __future__ import annotations

import sys
from pathlib import Path

from data_sharing.plans.spec import PlanSpec
from data_sharing.rules.published import schema_of


def plan_schema() -> str:
    return schema_of(PlanSpec, "An event plan of Homeport")


if __name__ == "__main__":
    (Path(sys.argv[1]) / "plan.schema.json").write_text(plan_schema(), encoding="utf-8")
