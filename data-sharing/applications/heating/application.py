"""Car heating: plans the warm-up of the cabin for a number of minutes."""

WARM_UP_C_PER_MINUTE = 1.2


def handle(action: str, input: dict) -> dict:
    if action != "heat":
        raise ValueError(f"the car can heat, not {action}")
    minutes = input["minutes"]
    if not 0 < minutes <= 60:
        raise ValueError(f"minutes must be in 1..60, not {minutes}")
    return {
        "performed": "heat",
        "minutes": minutes,
        "warmer_by_c": round(minutes * WARM_UP_C_PER_MINUTE, 1),
        "said": f"Heating the car for {minutes} minutes",
    }
