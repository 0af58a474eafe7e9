"""Whose names are served at a host, and at which port people come to its pages."""

from __future__ import annotations

import pytest

from control_plane.errors import InvalidInput
from provisioner.directory.public_hosts import PublicHosts
from provisioner.directory.webfinger import identifier_of

HOSTS = PublicHosts({"Talk.Example": "talk", "homeport.localhost:7720": "default"})


@pytest.mark.parametrize(
    ("header", "tenant", "authority"),
    [
        ("talk.example", "talk", "talk.example"),
        ("talk.example.:8443", "talk", "talk.example"),
        ("homeport.localhost:7720", "default", "homeport.localhost:7720"),
        ("homeport.localhost", "default", "homeport.localhost:7720"),
        ("homeport.localhost:1", "default", "homeport.localhost:7720"),
    ],
)
def test_links_have_the_port_that_was_set_whatever_the_header_says(
    header: str, tenant: str, authority: str
) -> None:
    found = HOSTS.read(header)
    assert found is not None
    assert (found.tenant, found.authority) == (tenant, authority)


@pytest.mark.parametrize("header", ["", "mail.example", "talk.example:x", ":", "talk.example:"])
def test_nobodys_hosts(header: str) -> None:
    assert HOSTS.read(header) is None


@pytest.mark.parametrize(
    ("page", "found"),
    [
        ("https://homeport.localhost:7720/@anna", True),
        ("https://homeport.localhost/@anna", True),
        ("https://homeport.localhost:7721/@anna", False),
        ("https://homeport.localhost:x/@anna", False),
    ],
)
def test_a_page_is_a_name_at_the_port_of_its_host(page: str, found: bool) -> None:
    assert (identifier_of(page, HOSTS.of("default")) is not None) is found


@pytest.mark.parametrize(
    "hosts",
    [{"talk.example:0": "t"}, {"talk.example:65536": "t"}, {"talk.example:" + "9" * 5_000: "t"},
     {"a.example": "t", "A.example:7": "t"}, {"no host": "t"}, {"a.example": "No"}],
    ids=str,
)  # fmt: skip
def test_what_is_no_host_is_refused(hosts: dict[str, str]) -> None:
    with pytest.raises(InvalidInput):
        PublicHosts(hosts)
