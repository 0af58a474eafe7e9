"""`mypyc_attr`, for the few compiled classes that sources which are not compiled extend.

A compiled class is closed unless it says `@mypyc_attr(allow_interpreted_subclasses=True)`
(https://mypyc.readthedocs.io/en/latest/native_classes.html). The decorator is read when a module
is compiled; to Python it means nothing, so that nothing has to be installed for it.

`native_class=False` leaves one as Python makes it: errors, whose `reason` is an attribute of the
class.

What extends such a class has its own methods, and none of its attributes anew: compiled code reads
an attribute where the class has it, whatever a subclass has put in front.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mypy_extensions import mypyc_attr as mypyc_attr
else:

    def mypyc_attr(**_attributes):
        """Leaves a class as it is."""
        return lambda extended: extended
