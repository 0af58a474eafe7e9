"""PRECIS: user names of all languages, compared (RFC 8264, RFC 8265), by `precis_i18n`.

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
    try:
        enforced: str = _profile().enforce(text)
    except UnicodeEncodeError as error:
        raise PrecisError(error.reason.rpartition("/")[2]) from None
    return enforced


@cache
def _profile() -> Profile:
    from precis_i18n import get_profile

    return get_profile("UsernameCaseMapped")
