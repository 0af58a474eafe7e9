"""The registry over a real database and real runtimes: what is accepted, what is not, versions,
and submissions that loop, bomb, trap, print junk or lie."""

from __future__ import annotations

import asyncio
import hashlib

import pytest

from control_plane.errors import Conflict, DataLoss, NotFound, Refused
from control_plane.offloading.port import TooCostly
from data_sharing.database import Database
from data_sharing.registry import tables
from data_sharing.registry.artifacts import Artifacts
from data_sharing.registry.registry import Registry
from data_sharing.registry.trial import Trial
from data_sharing.runtimes.runtime_host import RuntimeHost
from tests.support.fakes.offload import FakeOffload
from tests.support.submissions import COFFEE, SPEED, coffee, text, traffic
from tests.support.wasm_guests import BOMB, LOOP, printing, printing_forever, wat

TENANT = "city"


@pytest.fixture(scope="module")
def hosting(tmp_path_factory):
    with RuntimeHost(tmp_path_factory.mktemp("compiled"), threads=2) as opened:
        yield opened


@pytest.fixture
async def database(tmp_path):
    opened = await Database.open(tmp_path / "sharing.db", [tables.SCHEMA])
    yield opened
    await opened.close()


@pytest.fixture
def registry(database, hosting, tmp_path):
    return over(database, hosting, tmp_path)


def over(database, hosting, folder, offload=None) -> Registry:
    return Registry(
        database, Artifacts(folder / "artifacts"), Trial(hosting, folder / "trials"),
        offload or FakeOffload(), wall_ms=lambda: 7,
    )  # fmt: skip


async def submit(registry: Registry, manifest, content: bytes = b"", **options):
    return await registry.submit(text(manifest), content, tenant=TENANT, **options)


async def accepted(registry: Registry, manifest, content: bytes = b""):
    verdict = await submit(registry, manifest, content)
    assert verdict.faults == ()
    return verdict.version


def guest(content: bytes, **changes):
    """The coffee machine's manifest over another artifact."""
    limits = {"cpu_s": 0.2, "wall_s": 5, "memory_bytes": 8 << 20, "output_bytes": 10_000}
    runtime = {
        "kind": "wasi-command", "sha256": hashlib.sha256(content).hexdigest(), "limits": limits,
    }  # fmt: skip
    return coffee(runtime=runtime, **changes)


@pytest.mark.parametrize(
    ("content", "path", "said"),
    [
        pytest.param(wat(LOOP), "/actions/0/sample", "timed-out", id="loops"),
        pytest.param(wat(BOMB), "/actions/0/sample", "out-of-memory", id="bombs-memory"),
        pytest.param(wat("unreachable"), "/actions/0/sample", "trapped", id="traps"),
        pytest.param(printing(b"junk"), "/actions/0/sample", "bad-output", id="prints-junk"),
        pytest.param(printing_forever(), "/actions/0/sample", "bad-output", id="prints-megabytes"),
        pytest.param(printing(b""), "/actions/0/sample", "no output", id="says-nothing"),
        pytest.param(printing(b'{"performed": "nothing", "cups": 1}'), "/actions/0/output",
                     "at /performed", id="lies-about-what-it-gives"),
        pytest.param(b"not wasm at all", "/runtime", "", id="is-no-program"),
    ],
)  # fmt: skip
async def test_a_submission_that_misbehaves_is_refused_with_what_it_did(
    registry, content, path, said
):
    verdict = await submit(registry, guest(content), content)
    assert verdict.version is None
    (fault,) = verdict.faults
    assert fault.path == path
    assert said in fault.message
    assert registry.catalogue.applications(TENANT) == []
    # Its neighbours are unharmed.
    await accepted(registry, coffee(), COFFEE)


async def test_another_artifact_than_the_one_named_is_refused(registry):
    verdict = await submit(registry, coffee(), COFFEE + b"\0")
    (fault,) = verdict.faults
    assert fault.path == "/runtime/sha256"


async def test_what_is_accepted_is_current_and_there_after_a_restart(
    registry, database, hosting, tmp_path
):
    first = await accepted(registry, coffee(), COFFEE)
    await accepted(registry, traffic())
    again = over(database, hosting, tmp_path)
    found = again.catalogue.application(TENANT, "coffee")
    assert found == first
    assert await again.artifact(found) == COFFEE
    assert again.catalogue.producer(TENANT, SPEED).manifest.application == "traffic"


async def test_the_same_again_is_no_news_and_other_content_is_refused(registry):
    await accepted(registry, coffee(), COFFEE)
    again = await submit(registry, coffee(), COFFEE)
    assert again.existing
    assert again.version is not None
    without = await submit(registry, coffee())  # the artifact is here already
    assert without.existing
    for other in (coffee(description="x"), coffee(action_idempotent=True)):
        (fault,) = (await submit(registry, other, COFFEE)).faults
        assert fault.path == "/version"


async def test_an_artifact_of_another_tenant_is_not_here(registry):
    await accepted(registry, coffee(), COFFEE)
    verdict = await registry.submit(text(coffee()), b"", tenant="bank")
    assert [one.path for one in verdict.faults][:1] == ["/runtime/sha256"]


async def test_a_token_of_an_application_submits_that_one_alone(registry):
    verdict = await submit(registry, traffic(), application="coffee")
    assert [one.path for one in verdict.faults] == ["/application"]


async def test_versions_come_and_go(registry):
    heard = []
    registry.on_change.append(heard.append)
    for number in ("1.0.0", "1.1.0", "1.2.0"):
        await accepted(registry, traffic(version=number))
    assert [one.manifest.version for one in registry.versions(TENANT, "traffic")] == [
        "1.2.0", "1.1.0", "1.0.0",
    ]  # fmt: skip
    back, _ = await registry.rollback(TENANT, "traffic")
    assert back.manifest.version == "1.1.0"
    assert registry.version(TENANT, "traffic").manifest.version == "1.1.0"
    await registry.deprecate(TENANT, "traffic", "1.0.0", "too old")
    with pytest.raises(Refused, match="too old"):
        await registry.rollback(TENANT, "traffic", "1.0.0")
    await registry.deprecate(TENANT, "traffic", "1.0.0", "")
    (again, warnings) = await registry.rollback(TENANT, "traffic", "1.0.0")
    assert (again.current, warnings) == (True, ())
    assert len(heard) == 7
    assert heard[-1] is registry.catalogue
    with pytest.raises(NotFound):
        await registry.rollback(TENANT, "traffic", "9.9.9")
    with pytest.raises(NotFound):
        await registry.rollback("bank", "traffic")


async def test_the_first_version_has_nothing_to_go_back_to(registry):
    await accepted(registry, traffic())
    with pytest.raises(NotFound, match="no earlier"):
        await registry.rollback(TENANT, "traffic")


async def test_submissions_at_once_are_judged_one_after_another(registry):
    """Two applications want the same feed, and two submissions the same version."""
    verdicts = await asyncio.gather(
        *(submit(registry, traffic(application=name)) for name in ("a", "b", "c")),
        *(submit(registry, coffee(description=str(n)), COFFEE) for n in range(3)),
    )
    assert [one.version is not None for one in verdicts[:3]].count(True) == 1
    assert [one.version is not None for one in verdicts[3:]].count(True) == 1


async def test_who_decided_by_an_older_state_writes_nothing(database, registry):
    await accepted(registry, traffic())

    def late(db):
        tables.advance(db, 0)
        tables.deprecate(db, TENANT, "traffic", "1.0.0", "x")

    with pytest.raises(Conflict):
        await database.transact(late)
    (only,) = registry.versions(TENANT, "traffic")
    assert only.deprecation == ""


def test_artifacts_come_back_or_are_known_to_be_damaged(tmp_path):
    artifacts = Artifacts(tmp_path)
    name = artifacts.put(b"content")
    assert artifacts.put(b"content") == name
    assert artifacts.get(name) == b"content"
    assert [one.name for one in tmp_path.iterdir()] == [name]
    (tmp_path / name).write_bytes(b"contenT")
    with pytest.raises(DataLoss):
        artifacts.get(name)
    for missing in ("0" * 64, "../../etc/passwd", ""):
        assert not artifacts.has(missing)
        with pytest.raises(NotFound):
            artifacts.get(missing)


async def test_who_takes_an_action_away_is_told_who_uses_it(registry):
    asked = []

    async def users(tenant, application, actions):
        asked.append((tenant, application, set(actions)))
        return ("coffee brew is used by rule r",)

    registry.users = users
    assert (await submit(registry, coffee(), COFFEE)).warnings == ()
    other = coffee(version="2.0.0")
    other = {key: one for key, one in other.items() if key not in ("actions", "runtime")}
    for dry_run in (True, False):
        verdict = await submit(registry, other, dry_run=dry_run)
        assert verdict.faults == ()
        assert verdict.warnings == ("coffee brew is used by rule r",)
    assert asked == [(TENANT, "coffee", {"brew"})] * 2
    assert (await registry.rollback(TENANT, "coffee"))[1] == ()
    assert len(asked) == 2  # it takes none away
    _, warnings = await registry.rollback(TENANT, "coffee", "2.0.0")
    assert warnings == ("coffee brew is used by rule r",)
    assert asked[2:] == [(TENANT, "coffee", {"brew"})]


async def test_a_submission_is_read_and_compared_elsewhere_and_again_where_others_came_first(
    registry, database, hosting, tmp_path
):
    """What it was held against may be another by the time that it would be accepted."""
    offload = FakeOffload()
    registry = over(database, hosting, tmp_path, offload)
    await accepted(registry, traffic())
    assert [task for task, _ in offload.done] == ["read-manifest", "compare-manifest"]
    compare, offload.done[:] = offload.offload, []

    async def overtaken(task, arguments, **more):
        answer = await compare(task, arguments, **more)
        if task == "compare-manifest" and more["tenant"] == TENANT and len(offload.done) == 2:
            taken = traffic(version="1.1.0", feed_type="city.traffic.other")
            await accepted(registry, taken)
        return answer

    offload.offload = overtaken
    verdict = await submit(registry, traffic(application="late", feed_type="city.traffic.other"))
    (fault,) = verdict.faults
    assert "is a feed of traffic" in fault.message


async def test_a_manifest_that_is_too_costly_is_refused(database, hosting, tmp_path):
    offload = FakeOffload(failure=TooCostly("manifest", "manifest: takes longer than 2 s to check"))
    registry = over(database, hosting, tmp_path, offload)
    with pytest.raises(TooCostly):
        await submit(registry, traffic())
    assert registry.catalogue.applications(TENANT) == []
