"""Bedside alarm clock: says when and how it rings."""


def handle(action: str, input: dict) -> dict:
    if action != "ring":
        raise ValueError(f"the alarm can ring, not {action}")
    tone = input.get("tone", "gentle")
    volume = max(0, min(100, int(input.get("volume", 40))))
    return {
        "performed": "ring",
        "tone": tone,
        "volume": volume,
        "said": f"Ringing, {tone}, at {volume} %",
    }
