"""The rules of a scene, each of which looks for the secret in one way."""

from __future__ import annotations

import json

INVOKES = "do: [{invoke: {application: lamp, action: blink}}]"
TRAFFIC = "watch: {t: {feed: traffic}}"
BOTH = "watch: {t: {feed: traffic, key: event.data.room}, u: {feed: weather}}"
HEAD = "purpose: Be on time."


def document(of: str, secret: str, *, candidate: bool = False) -> str:
    """of: the secret in an expression about an event that is named in it. candidate: the next
    version of the one that is rolled out, alone."""
    t, event = of.format("t"), of.format("event")
    if candidate:
        rollout = "rollout: {steps: [{shadow: true, for: 30d}]}"
        return _rules({"rolled": [TRAFFIC, _when("true"), _tells(t), rollout]})
    number = _quoted(f"double({event})")
    # As it is written in rules, it is nowhere as a whole.
    half, rest = secret[:3], secret[3:]
    said, counted = f'"{half}" + "{rest}"', f"({half} * 10000 + {rest})"
    keyed = f"watch: {{t: {{feed: traffic, key: {event}}}}}"
    is_it = _quoted(f"{event} == {said}")
    texts = {
        "setting": [TRAFFIC, _when("true"), _tells(t)],
        "whole-event": [TRAFFIC, _when("true"), _tells("[t.data, t.key, t.subject]")],
        "condition": [TRAFFIC, _when(f"{t} == {said}"), INVOKES],
        "beginning": [TRAFFIC, _when(f'{t}.startsWith("{half}")'), INVOKES],
        "filter": [
            f"watch: {{t: {{feed: traffic, where: {is_it}}}}}", _when("true"), INVOKES
        ],
        "keyed": [keyed, _when("true"), _tells("key")],
        "no-key": [
            f"watch: {{t: {{feed: traffic, key: {_quoted(f'dyn(double({event}))')}}}}}",
            "park_after: 2", _when("true"),
            INVOKES,
        ],
        "error": [TRAFFIC, _when(f"1 / (int({t}) - {counted}) > 0"), INVOKES],
        "error-of-setting": [TRAFFIC, _when("true"), _tells(f"1 / (int({t}) - {counted})")],
        "wrong-setting": [TRAFFIC, _when("true"), _tells(f"dyn({t})", setting="times")],
        "window": [
            TRAFFIC, f"windows: {{w: {{over: 1h, value: {number}}}}}",
            _when("window.w.max > 0.0"), _tells("window.w.max"),
        ],
        "window-of-some": [
            TRAFFIC, f"windows: {{w: {{over: 1h, where: {is_it}}}}}",
            _when("window.w.count > 0"), INVOKES,
        ],
        "join": [BOTH, "join: {within: 1h, consume: recent}", _when("true"), _tells(t)],
        "sequence": [
            BOTH, "sequence: {within: 1h, steps: [{step: t}, {step: u}]}", _when("true"),
            _tells(t),
        ],
        "absence": [TRAFFIC, "absent_for: 5m", _when("true"), _tells(t)],
        "limit": [keyed, "limits: [{at_most: 1, per: 1h}]", _when("true"), _tells("key")],
        "debounce": [keyed, "debounce: {wait: 1m}", _when("true"), _tells("key")],
        "parked": [
            keyed, "park_after: 2", "park_wider_after: 50",
            _when('int(string(t.data.minutes) + "x") > 0'), INVOKES,
        ],
        "forecast": [TRAFFIC, _when("has(forecast.f.mean)"), _tells("forecast.f.mean")],
        "plan": [
            TRAFFIC, "plan: {of: '\"k\"', named: wake-up}", _when("true"),
            f"do: [{{change: {{config: {{light: {{said: {_quoted(t)}}}}}}}}}]",
        ],
        "approved": [TRAFFIC, _when(f'{t} != ""'), _tells(t, action="unlock")],
        "rolled": [TRAFFIC, _when("true"), _tells("'1'")],
        "outcome": [
            "watch: {t: {feed: homeport.instruction.outcome}}", _when("has(t.data.output.said)"),
            _tells("t.data.output.said"),
        ],
    }  # fmt: skip
    forecast = f"{{forecast: f, feed: traffic, value: {number}, {HEAD}, readers: [lamp]}}"
    return f"{_rules(texts)}forecasts:\n  - {forecast}\n"


def _rules(texts: dict[str, list[str]]) -> str:
    rules = [
        "\n    ".join([f"  - rule: {name}", HEAD, *lines]) for name, lines in texts.items()
    ]  # fmt: skip
    return "rules:\n" + "\n".join(rules) + "\n"


def _when(expression: str) -> str:
    return f"when: {_quoted(expression)}"


def _tells(expression: str, *, action: str = "blink", setting: str = "said") -> str:
    """An effect that tells an application what the expression says."""
    config = f"{{{setting}: {_quoted(expression)}}}"
    return f"do: [{{invoke: {{application: lamp, action: {action}, config: {config}}}}}]"


def _quoted(expression: str) -> str:
    return json.dumps(expression)
