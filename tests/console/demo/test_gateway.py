"""The gateway of chapter 7: what it finds of numbers in what was sent."""

from __future__ import annotations

import pytest

from console.demo.directory.gateway import Gateway, holds


@pytest.mark.parametrize(
    "text",
    [
        "+442079460301",
        "tel:+44-20-7946-0301",
        "020 7946 0301",
        "%2B442079460301",
        "x=4420 79460301",
    ],
)
def test_a_number_is_found_however_it_is_written(text: str) -> None:
    assert holds([f"INVITE\r\nX: {text}\r\n".encode()], "+442079460301")
    assert not holds([f"INVITE\r\nX: {text}\r\n".encode()], "+442079460302")


def test_a_gateway_that_nobody_started_stops() -> None:
    Gateway().stop()


def test_a_gateway_names_itself_as_a_trunk() -> None:
    gateway = Gateway()
    gateway.start()
    assert gateway.trunk.startswith("carrier=127.0.0.1:")
    gateway.stop()
