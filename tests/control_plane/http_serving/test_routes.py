"""Which route a path is for, and what its names come to."""

from __future__ import annotations

from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from control_plane.errors import InvalidInput
from control_plane.http_serving.routes import Route, Routes, path_and_query
from homeport.api.provisioning.v1 import provisioning_pb2 as pb

CLIENT = "/v1/tenants/{tenant}/clients/{client_id}"


def route(verb: str, path: str) -> Route:
    return Route(
        verb=verb,
        path=path,
        method=f"/{verb}{path}",
        request=pb.ProvisionRequest,
        response=pb.ProvisionResponse,
    )


ROUTES = Routes(
    [
        route("GET", CLIENT),
        route("POST", f"{CLIENT}:provision"),
        route("POST", f"{CLIENT}:release"),
        route("POST", "/v1/tenants/{tenant}/clients:provisionMany"),
    ]
)


@pytest.mark.parametrize(
    ("path", "verb", "client"),
    [
        pytest.param("alice", "GET", "alice", id="a-name"),
        pytest.param("alice:provision", "POST", "alice", id="a-name-and-an-action"),
        pytest.param("a:b", "GET", "a:b", id="a-colon-that-begins-no-action"),
        pytest.param("a:b:provision", "POST", "a:b", id="the-last-colon-begins-the-action"),
        pytest.param("a%3Aprovision", "GET", "a:provision", id="an-encoded-colon-begins-none"),
        pytest.param("a%3aprovision:release", "POST", "a:provision", id="both"),
        pytest.param("a%2Fb", "GET", "a/b", id="an-encoded-slash-separates-nothing"),
        pytest.param("%E2%82%AC", "GET", "€", id="utf-8"),
        pytest.param("a+b", "GET", "a+b", id="a-plus-is-a-plus"),
        pytest.param("..", "GET", "..", id="dots-are-a-name"),
        pytest.param("a%25zz", "GET", "a%zz", id="decoded-once"),
        pytest.param(":provision", "GET", ":provision", id="an-action-without-a-name-is-a-name"),
    ],
)
def test_paths(path: str, verb: str, client: str) -> None:
    found = ROUTES.match(f"/v1/tenants/t/clients/{path}")
    assert found is not None
    assert tuple(found.by_verb) == (verb,)
    assert found.fields == {"tenant": "t", "client_id": client}


@pytest.mark.parametrize(
    "path",
    [
        "/", "", "/v1", "/v1/tenants/t/clients", "/v1/tenants/t/clients/", "/v1/tenants//clients/a",
        "/v1/tenants/t/clients/a/", "/v1/tenants/t/clients/a/b", "//v1/tenants/t/clients/a",
        "/V1/tenants/t/clients/a", "/v2/tenants/t/clients/a", "/v1/tenants/t/clients:other",
        "/v1/tenants/t/client/a",
    ],
)  # fmt: skip
def test_where_there_is_nothing(path: str) -> None:
    assert ROUTES.match(path) is None


@pytest.mark.parametrize("segment", ["%", "a%", "%4", "%zz", "%FF", "%C3", "%ED%A0%80", "ä"])
def test_names_that_cannot_be_read_name_the_field(segment: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        ROUTES.match(f"/v1/tenants/t/clients/{segment}")
    assert refused.value.field == "client_id"


def test_all_routes_of_a_path_are_found_together() -> None:
    routes = Routes([route("GET", CLIENT), route("DELETE", CLIENT)])
    found = routes.match("/v1/tenants/t/clients/a")
    assert found is not None
    assert set(found.by_verb) == {"GET", "DELETE"}


def test_a_route_twice_is_a_mistake() -> None:
    with pytest.raises(ValueError, match="twice"):
        Routes([route("GET", CLIENT), route("GET", CLIENT)])


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        ("/a/b?c=d", ("/a/b", "c=d")),
        ("/a?b?c", ("/a", "b?c")),
        ("http://host:1/a%2Fb?c", ("/a%2Fb", "c")),
        ("HTTPS://host", ("/", "")),
        ("http://host?c", ("/", "c")),
        ("*", ("*", "")),
        ("/a#b", ("/a", "")),
    ],
)
def test_targets(target: str, expected: tuple[str, str]) -> None:
    assert path_and_query(target) == expected


@given(
    st.text(st.characters(exclude_categories=["Cs"]), min_size=1),
    st.sampled_from(["", ":provision"]),
)
def test_whatever_is_percent_encoded_comes_back(name: str, action: str) -> None:
    found = ROUTES.match(f"/v1/tenants/t/clients/{quote(name, safe='')}{action}")
    assert found is not None
    assert found.fields["client_id"] == name
    assert tuple(found.by_verb) == (("POST",) if action else ("GET",))


@given(st.text(st.characters(max_codepoint=127)))
def test_any_path_is_matched_or_refused(path: str) -> None:
    try:
        found = ROUTES.match(f"/v1/tenants/t/clients/{path}")
    except InvalidInput:
        return
    assert found is None or all(found.fields.values())
