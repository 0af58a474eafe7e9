"""What a viewer is to an account, and whether it may be reached so: as its rows say."""

from __future__ import annotations

import sqlite3

from deployment_units.services.contacts import book
from deployment_units.services.profiles import kept
from deployment_units.services.profiles.profile import Mode, Relation, Viewer


def relation_of(db: sqlite3.Connection, owner: int, account: str, viewer: str) -> Relation:
    """What the viewer is to the account, whose rows are the owner's."""
    if viewer == account:
        return Relation.OWNER
    if viewer and book.knows(db, owner, viewer):
        return Relation.CONTACT
    return Relation.STRANGER


def is_open_to(db: sqlite3.Connection, owner: int, account: str, viewer: str, mode: Mode) -> bool:
    """Whether the account lets the viewer reach it by the mode."""
    audience = kept.may_reach(db, owner, mode)
    if audience.everyone:
        return True
    relation = relation_of(db, owner, account, viewer)
    return Viewer(account=viewer, relation=relation).is_in(audience)
