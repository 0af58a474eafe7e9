"""Words for made-up requests: by the names of fields what could be meant there, and for any text
what nobody means."""

from __future__ import annotations

import hashlib
import json
from typing import Any

from tests.support.submissions import COFFEE, SPEED, coffee, event, text, traffic

TENANTS = ("", "default", "default", "shop")
UNITS = ("dublin", "virginia", "singapore", "nowhere")
CLIENTS = ("alice", "bob", "c" * 128, "Zoë")
TIMES = ("2026-11-27T10:00:00Z", "2026-03-02T09:00", "noon", "9999-12-31T23:59:59Z", "0001-01-01")
RULES = """
rules:
  - rule: slow
    watch: {e: {feed: city.traffic.speed}}
    when: e.data.speed_kmh < 30.0
    do: [{invoke: {application: coffee, action: brew, config: {cups: 2}}}]
forecasts: []
"""
PLAN: dict[str, Any] = {
    "plan": "work", "owner": "user-1", "at": "2027-03-02T09:00", "zone": "Europe/Berlin",
    "repeats": "FREQ=DAILY",
    "actions": {"brew": {"application": "coffee", "action": "brew", "offset": "-80m"}},
}  # fmt: skip
EVENT = {
    "specversion": "1.0", "id": "1", "source": "/s", "type": SPEED, "time": TIMES[0],
    "data": {"road": "A1", "speed_kmh": 4.5},
}  # fmt: skip
_PLANS = tuple(
    json.dumps(PLAN | changes)
    for changes in (
        {}, {"plan": "once", "repeats": None}, {"at": "2397-12-31T23:59"}, {"zone": "Mars/North"},
        {"repeats": "FREQ=YEARLY;INTERVAL=1000"}, {"repeats": "FREQ=DAILY;COUNT=99999999999"},
        {"actions": {}}, {"actions": {"brew": {"offset": "9999999999d"}}}, {"at": 5},
    )
)  # fmt: skip
_DOCUMENTS = (
    *[RULES] * 12, RULES.replace("30.0", "1e999"), RULES.replace("slow", "s" * 300), "rules: {}",
    "rules: [{rule: r, watch: {e: {feed: nobody}}, when: 'true', do: []}]", "{", "[]", "~", "5",
    RULES.replace("e.data.speed_kmh < 30.0", "(" * 400 + "1" + ")" * 400),
    RULES.replace("e.data.speed_kmh", "[1].map(x, [x].map(y, e))"),
    "&a [*a]", "a: &a [1]\nb: *a", "{? [1] : 2}", "2026-11-27", "!!python/object:x {}", ".nan",
    "rules:\n" + "  - {rule: r, when: 'true'}\n" * 50, "rules: " + "[" * 200 + "]" * 200,
)  # fmt: skip
_MANIFESTS = (
    text(traffic()), text(traffic(version="1.0.1")), text(coffee()), text(coffee(version="2.0.0")),
    text(traffic(feed_key="/data/none")), text(traffic(feed_schema={"type": "nothing"})),
    text(traffic(feed_samples=[])), "{}", "[]", "application: [", "a: .inf", "a: 2026-11-27",
    text(traffic(version=5)), text({"application": "x" * 200, "version": "1.0.0"}),
)  # fmt: skip

# By the name of a field, whatever message it is in.
WORDS: dict[str, tuple[str, ...]] = {
    "tenant": TENANTS,
    "unit_id": UNITS,
    "client_id": CLIENTS,
    "endpoint": ("dublin.example.net:443", "dublin.example.net:443", "[::1]:1", "a:99999"),
    "country": ("IE", "IE", "XX"),
    "countries": ("IE", "DE"),
    "continents": ("EU",),
    "tenants": TENANTS,
    "address": ("198.51.100.7", "::1", "::ffff:1.2.3.4", "1.2.3", "fe80::1%eth0"),
    "incarnation": ("1", "2", "z" * 100),
    "job_id": ("drain-dublin", "rebalance", "x"),
    "page_token": ("", "0", "5", "999999999999999999", "x", "٣", "drain"),
    "application": ("traffic", "coffee", "x"),
    "version": ("", "1.0.0", "1.0", "9.9.9"),
    "action": ("brew",),
    "platform": ("p1", "kitchen"),
    "plan_id": ("work", "work", "once", "none"),
    "rule_id": ("slow", "slow", "none"),
    "change_id": ("u-1", "none"),
    "instruction_id": ("i-1", "none"),
    "dead_letter_id": ("d-1", "d-999999999999999999", "d-x", "d-²", "none"),
    "decision_id": ("none",),
    "owner": ("user-1",),
    "reason": ("because",),
    "feeds": (SPEED, "x"),
    "key": ("A1",),
    "AttributesEntry.key": ("subject", "time", "datacontenttype", "partitionkey", "a1"),
    "ConfigEntry.key": ("brew", "brew", "none"),
    "LabelsEntry.key": ("ring",),
    "LabelsEntry.value": ("stable",),
    "spec": _PLANS,
    "document": _DOCUMENTS,
    "manifest": _MANIFESTS,
    "spec_version": ("1.0", "1.0", "1.0", "0.3"),
    "id": ("1", "2", "3"),
    "source": ("/city/traffic", "a b"),
    "type": (SPEED, SPEED, "x"),
    "text_data": (event("1").text_data, "{}", '{"road": NaN}', "[" * 5_000),
    "ce_string": ("x", TIMES[0], "application/json", "text/json"),
    "sha256": (hashlib.sha256(COFFEE).hexdigest(), "x"),
    "TestRulesRequest.events": tuple(
        json.dumps({**EVENT, "time": time}) for time in (*TIMES, None, 5)
    ),
    "TestRulesRequest.plans": _PLANS,
    "ConfigJsonEntry.value": ('{"cups": 2}', '{"cups": null, "a": [{}]}'),
    "config_json": ('{"cups": 2}', '{"cups": null, "a": [{}]}'),
    "output_json": ('{"performed": "brew", "cups": 1}', "{", "[]"),
    "ticket": ("x.y.z", "eyJhbGciOiJIUzI1NiJ9.e30.x", "a" * 5_000),
    "order": ("x.y.z", "eyJhbGciOiJIUzI1NiJ9.e30.x", "."),
}
# Numbers that could be meant, likewise.
NUMBERS: dict[str, tuple[float, ...]] = {
    "latitude": (53.3, -90.0, 0.0),
    "longitude": (-6.3, 180.0),
    "weight": (1.0, 0.5),
    "load": (0.5, 0.0),
    "capacity": (5, 100),
    "rate_per_s": (0.0, 10.0),
    "revision": (0, 0, 1),
    "version": (0, 1),
    "expected_version": (0, 0, 1),
    "page_size": (0, 1, 10, 1_000),
    "after_position": (0, 5),
    "position": (1, 5),
    "attempt": (1, 2),
    "epoch": (1, 2),
    "known_epoch": (0, 1),
    "max_moves": (0, 5),
    "offset": (0,),
}
TEXTS = (
    "", "a", "A", "0", "-1", " ", "\x00", "a\x00b", "\n", "é", "😀", "\ufffe", "\u202e", "a" * 64,
    "a" * 129, "a" * 513, "a" * 70_000, "9" * 30, "9" * 5_000, "1e999", "NaN", "null", "{}", "[]",
    "../../etc/passwd", "%00", "%FF", "' OR 1=1 --", "{{7*7}}", "${x}", "a/b", "a.b", "-", ".",
    "2026-11-27T10:00:00Z", "٣", "²", "default", "true", "x" * 20, "\\", '"', "[" * 3_000,
)  # fmt: skip
BYTES = (
    b"",
    b"\x00",
    b"\xff" * 16,
    b"{}",
    b"x" * 5_000,
    b"\x00asm\x01\x00\x00\x00",
    bytes(range(256)),
)
