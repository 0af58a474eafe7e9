"""PRECIS: user names and names of people of all languages (RFC 8264 to 8266), by `precis_i18n`.

Its rules follow the Unicode version of the Python that runs it: what that does not know yet is
refused, never mapped.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from precis_i18n.profile import Profile


class PrecisError(ValueError):
    """A text that the profile does not allow; `rule` as `precis_i18n` calls it, the text of the
    error for people."""

    def __init__(self, rule: str) -> None:
        super().__init__(rule.replace("_", " "))
        self.rule = rule


def username_case_mapped(text: str) -> str:
    """The text by the profile UsernameCaseMapped (RFC 8265, 3.3). Raises PrecisError. The caller
    bounds its length; time grows with it."""
    return _enforced("UsernameCaseMapped", text)


def nickname(text: str) -> str:
    """The text by the profile Nickname (RFC 8266, 2), with its case kept: spaces made one and taken
    off the ends, NFKC. Raises PrecisError. The caller bounds its length."""
    return _enforced("NicknameCasePreserved", text)


def _enforced(profile: str, text: str) -> str:
    try:
        enforced: str = _profile(profile).enforce(text)
    except UnicodeEncodeError as error:
        raise PrecisError(error.reason.rpartition("/")[2]) from None
    return enforced


@cache
def _profile(name: str) -> Profile:
    from precis_i18n import get_profile

    return get_profile(name)
