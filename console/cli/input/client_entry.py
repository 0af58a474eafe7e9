"""One client of a bulk run, as an entry of its file describes it, or what is wrong with it."""

from __future__ import annotations

from homeport import ClientAt

MAX_LINE_BYTES = 64 * 1024


class BadLine(Exception):
    """Why a line is no client; `client_id` where it could be read."""

    def __init__(self, message: str, client_id: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.client_id = client_id


def client_from(client_id: object, address: object, at: object) -> ClientAt:
    """The client of an entry. Raises BadLine."""
    if not isinstance(client_id, str):
        raise BadLine("client_id must be a string")
    if address is not None and at is not None:
        raise BadLine("has both an address and a position; give one", client_id)
    if address is not None and not isinstance(address, str):
        raise BadLine("ip must be a string", client_id)
    return ClientAt(client_id=client_id, address=address, position=_position(at, client_id))


def _position(at: object, client_id: str) -> tuple[float, float] | None:
    match at:
        case None:
            return None
        case [int() | float() as latitude, int() | float() as longitude] if not (
            isinstance(latitude, bool) or isinstance(longitude, bool)
        ):
            return float(latitude), float(longitude)
        case _:
            raise BadLine("at must be [latitude, longitude] in degrees", client_id)
