import gc
from collections.abc import Iterator

import pytest

from control_plane.uncollected_imports import uncollected_imports


@pytest.fixture(autouse=True)
def as_before() -> Iterator[None]:
    gc.collect()
    yield
    gc.unfreeze()


def test_nothing_is_collected_meanwhile_and_what_was_made_stays_out_of_it():
    frozen = gc.get_freeze_count()
    with uncollected_imports():
        assert not gc.isenabled()
        made = [[number] for number in range(5_000)]
    assert gc.isenabled()
    assert gc.get_freeze_count() >= frozen + len(made)


def test_an_import_that_fails_leaves_the_collector_at_work():
    with pytest.raises(ImportError), uncollected_imports():
        raise ImportError("no such module")
    assert gc.isenabled()
