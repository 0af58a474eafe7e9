"""What is remembered of clients that have just got a home: each once, and no more than there may
be."""

from control_plane.store.port import KeyValue
from provisioner.ledger.recent_assignments import RecentAssignments


def test_an_assignment_is_remembered_as_it_was_written_and_taken_once():
    recent = RecentAssignments()
    recent.give(b"assignments/talk/anna", b"{}", 7)
    assert recent.take(b"assignments/talk/anna") == KeyValue(
        b"assignments/talk/anna", b"{}", create_revision=7, mod_revision=7, version=1
    )
    assert recent.take(b"assignments/talk/anna") is None


def test_the_one_that_was_given_longest_ago_is_forgotten_first():
    recent = RecentAssignments(most=2)
    for number in range(3):
        recent.give(b"%d" % number, b"", number)
    assert len(recent) == 2
    assert [recent.take(b"%d" % number) is None for number in range(3)] == [True, False, False]
