"""The key schema: where each record lives in the store.

One function per kind of key, and nothing else builds one. Ids are checked at the edge
(control_plane.identity.names), so that none can hold a '/'.
"""

from __future__ import annotations

ROOT = "/homeport/v1/"

UNITS = (ROOT + "units/").encode()
LIVE = (ROOT + "live/").encode()
APPLIED = (ROOT + "applied/").encode()
REMOVED = (ROOT + "removed/").encode()
AGENTS = (ROOT + "agents/").encode()
CAPACITY = (ROOT + "capacity/").encode()
USAGE = (ROOT + "usage/").encode()
FENCE = (ROOT + "fence/").encode()
SESSIONS = (ROOT + "sessions/").encode()
STARVING = (ROOT + "starving/").encode()
ASSIGNMENTS = (ROOT + "assignments/").encode()
MOVES = (ROOT + "moves/").encode()
RELEASED = (ROOT + "moves-released").encode()
WHO_LEFT = (ROOT + "moves").encode()  # a prefix: MOVES and RELEASED, in one watch
HOLDS = (ROOT + "holds/").encode()
LIFECYCLE = (ROOT + "lifecycle/").encode()
JOBS = (ROOT + "jobs/").encode()
TENANTS = (ROOT + "tenants/").encode()
TENANTS_FENCE = (ROOT + "tenants-fence").encode()  # rewritten when one is to be removed
POLICIES = (ROOT + "policies/").encode()  # who may live where (docs/reference/policy.md)
POLICIES_FENCE = (ROOT + "policies-fence").encode()  # rewritten when one is applied
POLICY_VERSIONS = (ROOT + "policy-versions/").encode()
POLICY_PINS = (ROOT + "policies-pins/").encode()  # of clients to units, by tenant
WHO_MAY_LIVE = (ROOT + "policies").encode()  # a prefix: policies, pins and fence, in one watch
POLICY_PIN_COUNTS = (ROOT + "policy-pin-counts/").encode()  # how many a tenant has
LATENCIES = (ROOT + "latencies/").encode()  # what servers' clients measured, by server and chunk
KEY_RING = (ROOT + "keys/ring").encode()
ENROLMENT_GROUPS = (ROOT + "enrolment/groups/").encode()
BOOTSTRAP_TOKENS = (ROOT + "enrolment/bootstrap/").encode()
RESTORING = (ROOT + "restoring").encode()  # stands while a backup is being put into this store
AUDIT_ENTRIES = (ROOT + "audit/entries/").encode()
AUDIT_OPEN = (ROOT + "audit/open/").encode()
AUDIT_MADE = (ROOT + "audit/made/").encode()
AUDIT_HEAD = (ROOT + "audit/head").encode()  # the newest entry's place and hash
AUDIT_TRIMMED = (ROOT + "audit/trimmed").encode()  # the same of the newest that was deleted

# Who has which name (docs/reference/directory.md). Below it are claims and the records of accounts.
DIRECTORY = (ROOT + "directory/").encode()
DIRECTORY_HANDLES = (ROOT + "directory/handles/").encode()
DIRECTORY_IDENTIFIERS = (ROOT + "directory/identifiers/").encode()
DIRECTORY_ACCOUNTS = (ROOT + "directory/accounts/").encode()
# Beside it, so that whoever watches claims does not hear of every code that is sent.
DIRECTORY_PROOFS = (ROOT + "directory-proofs/").encode()
DIRECTORY_CODES = (ROOT + "directory-codes/").encode()
PEPPER_RING = (ROOT + "keys/pepper").encode()
# Organisations, their domains and groups, and invitations (docs/reference/organisations.md).
ORGANISATIONS = (ROOT + "organisations/").encode()
ORGANISATION_DOMAINS = (ROOT + "organisation-domains/").encode()
MEMBERSHIPS = (ROOT + "memberships/").encode()
GROUPS = (ROOT + "groups/").encode()
GROUP_MEMBERS = (ROOT + "group-members/").encode()
DOMAINS = (ROOT + "domains/").encode()
DOMAIN_CHECKER = (ROOT + "domain-checker").encode()
DOMAIN_NOTICES = (ROOT + "domain-notices/").encode()
INVITATIONS = (ROOT + "invitations/").encode()
OF_ORGANISATIONS = (
    ORGANISATIONS, ORGANISATION_DOMAINS, MEMBERSHIPS, GROUPS, GROUP_MEMBERS, DOMAINS,
    DOMAIN_NOTICES, INVITATIONS,
)  # fmt: skip
# Telephone numbers: whose each is, and under its tenant all else of it.
NUMBERS = (ROOT + "numbers/").encode()
TENANT_NUMBERS = (ROOT + "tenant-numbers/").encode()
TENANT_NUMBER_BOOKS = (ROOT + "tenant-number-books/").encode()
FREE_NUMBERS = (ROOT + "free-numbers/").encode()
ACCOUNT_NUMBERS = (ROOT + "account-numbers/").encode()
OF_NUMBERS = (TENANT_NUMBERS, TENANT_NUMBER_BOOKS, FREE_NUMBERS, ACCOUNT_NUMBERS)
_OF_TENANTS = (
    DIRECTORY_HANDLES, DIRECTORY_IDENTIFIERS, DIRECTORY_ACCOUNTS, ASSIGNMENTS, DIRECTORY_PROOFS,
    DIRECTORY_CODES, *OF_ORGANISATIONS, *OF_NUMBERS,
)  # fmt: skip

# Where assignments are spread over several clusters (docs/reference/scale-out.md).
SHARD_MAP = (ROOT + "shards/map").encode()  # with the control data
SHARD_EPOCH = (ROOT + "shards/epoch").encode()  # and these in each assignment cluster
CLUSTER_NAME = (ROOT + "shards/here").encode()
LICENCES = (ROOT + "shards/licence/").encode()
GATES = (ROOT + "gate/").encode()


def unit(unit_id: str) -> bytes:
    """UnitSpec: the desired record."""
    return UNITS + unit_id.encode()


def live(unit_id: str) -> bytes:
    """UnitStatus, under the agent's lease."""
    return LIVE + unit_id.encode()


def agent(unit_id: str) -> bytes:
    """AgentRecord: the incarnation that last registered, and where it is reached; stays when the
    agent is gone, so that a unit whose agent died differs from one that never had an agent."""
    return AGENTS + unit_id.encode()


def applied(unit_id: str) -> bytes:
    """UnitSpec: what the unit's agent applied last, when it registered."""
    return APPLIED + unit_id.encode()


def removed(unit_id: str) -> bytes:
    """Stands once an operator removed the unit, until one applies it again: when, Unix ms."""
    return REMOVED + unit_id.encode()


def capacity(unit_id: str) -> bytes:
    """Ledger: capacity, settled slots and grants."""
    return CAPACITY + unit_id.encode()


def usage(unit_id: str, provisioner: str) -> bytes:
    """Net slots that this provisioner handed out since it last settled."""
    return USAGE + f"{unit_id}/{provisioner}".encode()


def fence(unit_id: str) -> bytes:
    """Rewritten when capacity is lowered or the unit stops taking clients."""
    return FENCE + unit_id.encode()


def session(provisioner: str) -> bytes:
    """Stands while the provisioner's lease does."""
    return SESSIONS + provisioner.encode()


def starving(unit_id: str) -> bytes:
    """Rewritten by a provisioner that was refused a grant; holders give idle room back."""
    return STARVING + unit_id.encode()


def assignment(tenant: str, client_id: str) -> bytes:
    """Assignment of one client."""
    return ASSIGNMENTS + f"{tenant}/{client_id}".encode()


def tenant_in(assignment_key: bytes) -> bytes:
    """The tenant in the key of an assignment, without a copy of the rest; empty: it is no key of
    one."""
    return _up_to_slash(assignment_key, len(ASSIGNMENTS))


def assignments_of(tenant: str) -> bytes:
    """A prefix: the assignments of a tenant's clients."""
    return ASSIGNMENTS + f"{tenant}/".encode()


def move(unit_id: str, tenant: str, client_id: str) -> bytes:
    """Departure: this client left this unit, for where; written with the move, under a lease
    that outlives every ticket. Whoever wants to hear of moves watches these, because the
    assignments themselves are mostly new ones."""
    return MOVES + f"{unit_id}/{tenant}/{client_id}".encode()


# RELEASED is one key. Each transaction that releases clients rewrites it, unseen, with their
# names; nobody reads what stands there, a watch hears every version that ever did. So clients
# that are gone leave nothing behind (docs/decisions/0009-watches.md).


def hold(tenant: str, client_id: str) -> bytes:
    """Stands beside an assignment until its unit has admitted the client."""
    return HOLDS + f"{tenant}/{client_id}".encode()


def lifecycle(unit_id: str) -> bytes:
    """LifecycleRecord: the state a unit is in, since when and why."""
    return LIFECYCLE + unit_id.encode()


def job(job_id: str) -> bytes:
    """MoveJob: clients being moved in the background."""
    return JOBS + job_id.encode()


def tenant(tenant_id: str) -> bytes:
    """TenantSpec."""
    return TENANTS + tenant_id.encode()


def policy(tenant_id: str) -> bytes:
    """PolicyRecord in force."""
    return POLICIES + tenant_id.encode()


def policy_version(tenant_id: str, version: int, *, prefix: bool = False) -> bytes:
    """PolicyRecord of one version, in the order of versions; prefix: of all of the tenant's."""
    name = "" if prefix else f"{version:010d}"
    return POLICY_VERSIONS + f"{tenant_id}/{name}".encode()


def enrolment_group(tenant_id: str, name: str) -> bytes:
    """EnrolmentGroup; without a name: the prefix of the tenant's."""
    return ENROLMENT_GROUPS + f"{tenant_id}/{name}".encode()


def bootstrap_token(tenant_id: str, token_id: str) -> bytes:
    """BootstrapRecord, until it is used; without an id: the prefix of the tenant's."""
    return BOOTSTRAP_TOKENS + f"{tenant_id}/{token_id}".encode()


def handle_claim(tenant_id: str, stored_key: str) -> bytes:
    """DirectoryClaim of a handle, and of all that look like it; without a key: the prefix of the
    tenant's."""
    return DIRECTORY_HANDLES + f"{tenant_id}/{stored_key}".encode()


def identifier_claim(tenant_id: str, kind: str, digest: str) -> bytes:
    """DirectoryClaim of any other identifier."""
    return DIRECTORY_IDENTIFIERS + f"{tenant_id}/{kind}/{digest}".encode()


def identifiers_of(tenant_id: str) -> bytes:
    """A prefix: the claims of a tenant's identifiers."""
    return DIRECTORY_IDENTIFIERS + f"{tenant_id}/".encode()


def directory_account(tenant_id: str, account: str) -> bytes:
    """DirectoryAccount: what an account holds; with its assignment. Without an account: the prefix
    of the tenant's."""
    return DIRECTORY_ACCOUNTS + f"{tenant_id}/{account}".encode()


def directory_tenant(key: bytes) -> bytes:
    """The tenant in the key of a claim, an account's record, a proof or a count of codes, of an
    assignment or of what organisations and numbers have; empty: it is another key."""
    for prefix in _OF_TENANTS:
        if key.startswith(prefix):
            return _up_to_slash(key, len(prefix))
    return b""


def _up_to_slash(key: bytes, start: int) -> bytes:
    """Empty where none comes. Compiled, a slice that ends before it starts is a SystemError."""
    end = key.find(b"/", start)
    return key[start:end] if end >= 0 else b""


def directory_proof(tenant_id: str, kind: str, digest: str, account: str) -> bytes:
    """PendingProof, under a lease."""
    return DIRECTORY_PROOFS + f"{tenant_id}/{kind}/{digest}/{account}".encode()


def proofs_of(tenant_id: str) -> bytes:
    """A prefix: a tenant's proofs."""
    return DIRECTORY_PROOFS + f"{tenant_id}/".encode()


def sent_codes(tenant_id: str, kind: str, digest: str) -> bytes:
    """SentCodes: how many were sent to one identifier, whoever asked; under a lease."""
    return DIRECTORY_CODES + f"{tenant_id}/{kind}/{digest}".encode()


def sent_codes_of(tenant_id: str) -> bytes:
    """A prefix: the same of all of a tenant's."""
    return DIRECTORY_CODES + f"{tenant_id}/".encode()


def organisation(tenant_id: str, organisation_id: str) -> bytes:
    """Organisation; without an id: the prefix of the tenant's."""
    return ORGANISATIONS + f"{tenant_id}/{organisation_id}".encode()


def organisation_domains(tenant_id: str, organisation_id: str) -> bytes:
    """DomainBook: which domains an organisation has, and which it is to prove."""
    return ORGANISATION_DOMAINS + f"{tenant_id}/{organisation_id}".encode()


def membership(tenant_id: str, account: str) -> bytes:
    """Membership: the organisation of an account."""
    return MEMBERSHIPS + f"{tenant_id}/{account}".encode()


def group(tenant_id: str, organisation_id: str, group_id: str) -> bytes:
    """Group of an organisation; without an id: the prefix of the organisation's."""
    return GROUPS + f"{tenant_id}/{organisation_id}/{group_id}".encode()


def group_member(tenant_id: str, organisation_id: str, group_id: str, account: str) -> bytes:
    """GroupMember; without an account: the prefix of the group's."""
    return GROUP_MEMBERS + f"{tenant_id}/{organisation_id}/{group_id}/{account}".encode()


def domain(tenant_id: str, name: str) -> bytes:
    """Domain that an organisation has proved, by its name in A-labels; without: the prefix of the
    tenant's."""
    return DOMAINS + f"{tenant_id}/{name}".encode()


def domain_notice(tenant_id: str, organisation_id: str, name: str) -> bytes:
    """DomainNotice: what owners of an organisation are to be told of a domain."""
    return DOMAIN_NOTICES + f"{tenant_id}/{organisation_id}/{name}".encode()


def invitation(tenant_id: str, invitation_id: str) -> bytes:
    """Invitation, under a lease."""
    return INVITATIONS + f"{tenant_id}/{invitation_id}".encode()


def of_organisations(tenant_id: str) -> list[bytes]:
    """Prefixes: all of a tenant's that has to do with organisations."""
    return [prefix + f"{tenant_id}/".encode() for prefix in OF_ORGANISATIONS]


def number(e164: str) -> bytes:
    """NumberTenant: whose a telephone number is."""
    return NUMBERS + e164.encode()


def tenant_number(tenant_id: str, e164: str) -> bytes:
    """NumberRecord; without a number: the prefix of the tenant's."""
    return TENANT_NUMBERS + f"{tenant_id}/{e164}".encode()


def tenant_number_book(tenant_id: str) -> bytes:
    """TenantNumberBook: technical numbers, and how many there are in which country."""
    return TENANT_NUMBER_BOOKS + f"{tenant_id}/".encode()


def free_number(tenant_id: str, pool: str, e164: str) -> bytes:
    """FreeNumber, absent once it is assigned; without a number: the prefix of the pool's."""
    return FREE_NUMBERS + f"{tenant_id}/{pool}/{e164}".encode()


def account_numbers(tenant_id: str, account: str) -> bytes:
    """AccountNumberBook: the virtual numbers of an account."""
    return ACCOUNT_NUMBERS + f"{tenant_id}/{account}".encode()


def of_numbers(tenant_id: str) -> list[bytes]:
    """Prefixes: all of a tenant's that has to do with telephone numbers, but for whose they are."""
    return [prefix + f"{tenant_id}/".encode() for prefix in OF_NUMBERS]


def audit_entry(sequence: int) -> bytes:
    """One record of the audit log: its hash, then its content."""
    return AUDIT_ENTRIES + f"{sequence:016d}".encode()


def audit_open(sequence: int) -> bytes:
    """Stands while what was asked in this entry has no outcome."""
    return AUDIT_OPEN + f"{sequence:016d}".encode()


def audit_made(sequence: int) -> bytes:
    """Written by each transaction of the change that was asked in this entry; its version says how
    many. Gone with `audit_open`."""
    return AUDIT_MADE + f"{sequence:016d}".encode()


def gate(unit_id: str) -> bytes:
    """The unit's fence as one assignment cluster has it: which revision of `fence/<unit>`."""
    return GATES + unit_id.encode()


def licence(move_id: str) -> bytes:
    """Who may copy or clear clients for a move of shards, in this cluster; every such write
    compares it."""
    return LICENCES + move_id.encode()


def cluster_of(provisioner: str) -> str:
    """The assignment cluster in which a provisioner has its session; empty: with the control
    data, as everything is there."""
    return provisioner.partition("@")[2]


def cursor(key: bytes, prefix: bytes) -> str:
    """The last place at or before a key that can be told as text, without the prefix: from there
    on a reader of pages misses nothing, and may see a few again. A key of ours is its own place."""
    name = key[len(prefix) :]
    try:
        return name.decode()
    except UnicodeDecodeError as error:
        return name[: error.start].decode()


def prefix_end(prefix: bytes) -> bytes:
    """The first key after all keys with this prefix (etcd's range_end for a prefix)."""
    for i in range(len(prefix) - 1, -1, -1):
        if prefix[i] < 0xFF:
            return prefix[:i] + bytes([prefix[i] + 1])
    return b"\x00"  # etcd: from the key to the end of the key space
