"""Token files: who their callers are, what they may be, and what is said of a faulty one."""

from __future__ import annotations

import hashlib

import pytest

from control_plane.auth.roles import GIVEN, OF_RIGHTS, Role, with_implied
from control_plane.auth.tokens import Tokens
from control_plane.errors import InvalidInput

DIGEST = hashlib.sha256(b"secret").hexdigest()
ENTRY = f'[[token]]\nname="a"\nsha256="{DIGEST}"\n'


def read(tmp_path, text: str) -> Tokens:
    path = tmp_path / "tokens.toml"
    path.write_text(text)
    return Tokens.read(path)


def shown(tokens: Tokens, token: str = "secret"):
    entry = tokens.find(token)
    return None if entry is None else entry.caller


def test_a_token_is_known_by_its_digest(tmp_path):
    tokens = read(tmp_path, ENTRY + 'roles=["gateway"]')
    caller = shown(tokens)
    assert caller is not None
    assert caller.name == "a"
    assert shown(tokens, "wrong") is None


@pytest.mark.parametrize("right", OF_RIGHTS)
def test_a_right_of_an_older_file_is_a_role(tmp_path, right):
    more = 'units=["dublin"]\ntenant="city"\nplatform="p"\n'
    caller = shown(read(tmp_path, ENTRY + f'rights=["{right}"]\n{more}'))
    assert caller.roles == with_implied({OF_RIGHTS[right]})


@pytest.mark.parametrize("key", ["roles", "rights"])
def test_a_token_without_any_may_do_nothing(tmp_path, key):
    caller = shown(read(tmp_path, ENTRY + f"{key}=[]"))
    assert caller.roles == {Role.ANYONE}
    assert not caller.may(*GIVEN)


def test_what_roles_imply():
    assert Role.VIEWER in with_implied({Role.OPERATOR})
    assert Role.OPERATOR not in with_implied({Role.VIEWER})
    assert Role.ADMIN not in with_implied({Role.OPERATOR})
    assert with_implied({Role.ADMIN}).isdisjoint({Role.UNIT, Role.PLATFORM})
    assert with_implied({Role.ADMIN}) >= GIVEN - {Role.UNIT, Role.PLATFORM}
    for role in (Role.UNIT, Role.PLATFORM, Role.PRODUCER, Role.CONSUMER, Role.CLIENT):
        assert with_implied({role}) == {Role.ANYONE, role}


def test_what_a_token_is_bound_to(tmp_path):
    caller = shown(read(tmp_path, ENTRY + 'roles=["unit"]\nunits=["dublin", "cork"]'))
    assert caller.units == {"dublin", "cork"}
    bound = 'roles=["platform"]\ntenant="city"\nplatform="p-1"\napplication="lamp"'
    caller = shown(read(tmp_path, ENTRY + bound))
    assert (caller.tenant, caller.platform, caller.application) == ("city", "p-1", "lamp")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("nonsense", "cannot be read"),
        ("[other]", "unknown key"),
        ('[[token]]\nname = "a"', "needs name"),
        (ENTRY, "needs name, sha256 and roles"),
        ('token = "a"', "a table under"),
        ("token = [5]", "a table under"),
        ('[token]\nname = "a"', "a table under"),
        (ENTRY + 'rights="provision"', "is a list"),
        (ENTRY + 'roles="viewer"', "is a list"),
        (2 * (ENTRY + "rights=[]\n"), "tokens differ"),
        ('[[token]]\nname="a"\nsha256="xyz"\nrights=[]', "64 hexadecimal"),
        (ENTRY + "rights=[]\nfoo=1", "unknown key"),
        (ENTRY + 'rights=[]\ntenant="A b"', "valid name"),
        (ENTRY + 'rights=[]\napplication="a"', "its tenant"),
        (ENTRY + 'rights=[]\ntenant=""', "tenant is empty"),
        (ENTRY + 'rights=[]\ntenant="city"\napplication=""', "application is empty"),
        (ENTRY + 'rights=["fly"]', "none of the rights"),
        (ENTRY + 'roles=["fly"]', "none of the roles"),
        (ENTRY + 'roles=["anyone"]', "none of the roles"),
        (ENTRY + 'roles=["unit"]', "names no unit"),
        (ENTRY + 'rights=["unit"]', "names no unit"),
        (ENTRY + 'roles=["unit"]\nunits=["A b"]', "valid name"),
        (ENTRY + 'roles=["unit"]\nunits="dublin"', "units is a list"),
        (ENTRY + 'roles=["platform"]\ntenant="city"', "does not say which"),
        (ENTRY + 'rights=["host"]\nplatform="p"', "does not say which"),
        (ENTRY + 'roles=[]\nexpire_time="tomorrow"', "a time with its zone"),
        (ENTRY + "roles=[]\nexpire_time=2027-01-01T00:00:00", "a time with its zone"),
        (ENTRY + "roles=[]\nissue_time=2027-01-01", "a time with its zone"),
        (ENTRY + "roles=[]\nissue_time=1800000000", "a time with its zone"),
        ("a=" + "[" * 100_000, "cannot be read"),
    ],
)
def test_a_bad_token_file_is_named(tmp_path, text, said):
    with pytest.raises(InvalidInput, match=said):
        read(tmp_path, text)


def test_a_file_that_is_too_large_is_not_read(tmp_path):
    with pytest.raises(InvalidInput, match="larger than"):
        read(tmp_path, "#" * (5 << 20))


def test_when_a_token_expires(tmp_path):
    tokens = read(tmp_path, ENTRY + "roles=[]\nexpire_time=2027-01-15T08:00:00+00:00")
    assert tokens.find("secret").expires_at == 1_800_000_000.0
    assert read(tmp_path, ENTRY + "roles=[]").find("secret").expires_at is None


def test_a_file_that_everybody_may_write_is_refused(tmp_path):
    path = tmp_path / "tokens.toml"
    path.write_text(ENTRY + 'roles=["admin"]')
    path.chmod(0o646)
    with pytest.raises(InvalidInput, match="written by everybody"):
        Tokens.read(path)
    path.chmod(0o640)
    Tokens.read(path)
