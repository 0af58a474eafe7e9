"""Whether an answer by mail is of the participant whose it would be. Pure.

    verified    it came to an address made for the participant, is from that participant's address,
                and DKIM or SPF vouches for the domain of From
    plausible   it came to such an address: shown as "by mail, unverified"
    refused     neither: a mail of a stranger to whoever it is addressed to

DKIM and SPF count where their domain is that of From in DMARC's sense (RFC 7489, 3.1, relaxed:
the same registrable domain), and DMARC itself where it passed for the domain of From.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from typing import NamedTuple

from control_plane.identifiers.domains import read_domain, registrable_domain
from control_plane.identifiers.emails import read_email
from control_plane.identifiers.identifier import Flaw, Identifier
from deployment_units.services.channels.reply_tokens import ReplyOwner
from deployment_units.services.gateway.route import RouteReason
from deployment_units.services.mail_in.authentication_results import MethodResult
from deployment_units.services.mail_in.mail import ReceivedMail
from deployment_units.services.mail_in.sender import sender_of


class Authenticity(StrEnum):
    VERIFIED = "verified"
    PLAUSIBLE = "plausible"
    REFUSED = "refused"


class AuthenticityFinding(NamedTuple):
    """sender: of From, where that is one address; aligned: whether its domain is vouched for,
    which counts for strangers as well."""

    authenticity: Authenticity
    sender: Identifier | None
    aligned: bool
    why: tuple[RouteReason, ...]


# Where the domain of each method stands (RFC 8601, 2.7).
_DOMAIN_OF = {
    "dkim": ("header.d", "header.i"),
    "spf": ("smtp.mailfrom",),
    "dmarc": ("header.from",),
}
_DENIED = frozenset({"fail", "softfail", "hardfail", "policy"})  # and not "none" or an error


def authenticity(
    mail: ReceivedMail, results: Sequence[MethodResult], owner: ReplyOwner | None
) -> AuthenticityFinding:
    """results: of the relay that is trusted. owner: of the token in the address that it came to,
    where there is one and it fits."""
    return judged(sender_of(mail), results, owner)


def judged(
    found: Identifier | Flaw, results: Sequence[MethodResult], owner: ReplyOwner | None
) -> AuthenticityFinding:
    """The same of a mail whose From was read. found: what `sender_of` says of it."""
    why: list[RouteReason] = []
    sender = None if isinstance(found, Flaw) else found
    if isinstance(found, Flaw):
        why.append(RouteReason("from", found.message, ""))
    aligned = sender is not None and _is_aligned(sender, results, why)
    if owner is None:
        why.append(RouteReason("token", "came to no address made for an answer", ""))
        return AuthenticityFinding(Authenticity.REFUSED, sender, aligned, tuple(why))
    own = sender is not None and sender.normal == owner.address
    if not own:
        said = "" if sender is None else sender.normal
        why.append(RouteReason("from", "is not the participant's address", said))
    verified = own and aligned
    if verified:
        why.append(RouteReason("token", "fits the participant, and From is theirs", owner.address))
    kind = Authenticity.VERIFIED if verified else Authenticity.PLAUSIBLE
    return AuthenticityFinding(kind, sender, aligned, tuple(why))


def is_aligned(sender: str, results: Sequence[MethodResult]) -> bool:
    """Whether somebody vouches for the domain of an address; for that of none nobody does."""
    read = read_email(sender)
    return not isinstance(read, Flaw) and _is_aligned(read, results, [])


def counted(results: Sequence[MethodResult]) -> tuple[MethodResult, ...]:
    """Those that say something of a domain, each with that domain alone: judged as all of them."""
    found: list[MethodResult] = []
    for one in results:
        domain = _domain_of(one)
        if domain is not None:
            name = _names(one.method)[0]
            found.append(
                MethodResult(method=one.method, result=one.result, properties={name: domain})
            )
    return tuple(found)


def _is_aligned(
    sender: Identifier, results: Sequence[MethodResult], why: list[RouteReason]
) -> bool:
    """A method passed for the domain of From, and none of the same says otherwise of it."""
    domain = sender.normal.rpartition("@")[2]
    passed: set[str] = set()
    failed: set[str] = set()
    for one in results:
        about = _domain_of(one)
        if about is None:
            continue
        same = about == domain if one.method == "dmarc" else _related(about, domain)
        if not same:
            why.append(RouteReason(one.method, f"is about another domain than {domain}", about))
        elif one.result == "pass":
            passed.add(one.method)
        else:
            why.append(RouteReason(one.method, one.result, about))
            if one.result in _DENIED:
                failed.add(one.method)
    if "dmarc" in failed:
        return False
    # Of several signatures of a domain one that holds is enough (RFC 6376, 4.2); two answers
    # of SPF or DMARC about one mail cannot both be the relay's.
    vouching = {one for one in passed if one == "dkim" or one not in failed}
    why += [RouteReason(one, "pass", domain) for one in sorted(vouching)]
    if not vouching and not failed:
        why.append(RouteReason("alignment", "nothing vouches for the domain of From", domain))
    return bool(vouching)


def _domain_of(result: MethodResult) -> str | None:
    """In A-labels; None where it names none, or it is no domain."""
    for name in _names(result.method):
        value = result.properties.get(name, "").rpartition("@")[2]
        if value:
            read = read_domain(value)
            return None if isinstance(read, Flaw) else read.normal
    return None


def _names(method: str) -> tuple[str, ...]:
    return _DOMAIN_OF.get(method, ())


def _related(one: str, other: str) -> bool:
    if one == other:
        return True
    first, second = (_organisation(domain) for domain in (one, other))
    return first is not None and first == second


def _organisation(domain: str) -> str | None:
    read = read_domain(domain)
    return None if isinstance(read, Flaw) else registrable_domain(read)
