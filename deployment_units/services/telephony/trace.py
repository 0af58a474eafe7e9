"""What is said of a call that was only asked about: where it would go, and why, in words."""

from __future__ import annotations

from deployment_units.services.telephony.call_messages import refusal_number
from deployment_units.services.telephony.dialling import EmergencyDialled
from deployment_units.services.telephony.linking import Linked
from deployment_units.services.telephony.port import Refused, RefusedCause
from homeport.api.communication.v1 import telephony_pb2 as pb

_WHY = {
    RefusedCause.NOT_A_NUMBER: "what was dialled is no telephone number",
    RefusedCause.NOT_FOUND: "the number stands for nobody, or not for this caller",
    RefusedCause.WITHHELD: "a technical number is reached only by a caller who shows its number",
    RefusedCause.NOT_ORDINARY: "no calls are made to numbers of this kind",
    RefusedCause.COUNTRY: "no calls are made to this country",
    RefusedCause.LOOP: "the call would come back to a number of ours",
    RefusedCause.NO_NUMBER: "the account has no proved telephone to ring, or no virtual number",
    RefusedCause.NOT_OPEN: "the account does not let this caller reach it, and says nothing",
}


def traced(found: Linked | EmergencyDialled | Refused | RefusedCause) -> pb.TraceCallResponse:
    """The answer of TraceCall."""
    if isinstance(found, EmergencyDialled):
        return pb.TraceCallResponse(
            emergency=found.number, why="an emergency number: passed on at once, unmasked"
        )
    if isinstance(found, Refused):
        found = found.cause
    if isinstance(found, RefusedCause):
        return pb.TraceCallResponse(refused=refusal_number(found), why=_WHY.get(found, found.value))
    if found.outgoing:
        why = "the account calls a contact by its technical number, and is shown by its virtual one"
    elif found.stranger:
        why = "a stranger calls the virtual number; it gets a technical one, or is shown as nobody"
    elif found.shown is None:
        why = "the caller withholds its number; it is shown as nobody"
    else:
        why = "a contact calls the virtual number, and is shown by its technical one"
    return pb.TraceCallResponse(
        target=found.target, shown=found.shown or "", stranger=found.stranger, why=why
    )
