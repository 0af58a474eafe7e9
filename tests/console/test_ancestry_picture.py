"""The picture of an ancestry: well-formed, self-contained, each node and edge once."""

from __future__ import annotations

from xml.etree import ElementTree

from console.cli.views.ancestry import ancestry_document
from console.cli.views.ancestry_picture import picture_of
from homeport.api.datasharing.v1 import decision_pb2 as pb

SVG = "{http://www.w3.org/2000/svg}"
ANSWER = pb.GetAncestryResponse(
    root_id="c-1",
    nodes=[
        pb.AncestryNode(node_id="c-1", kind=pb.ANCESTRY_KIND_DECISION, title="rule <b> fired"),
        pb.AncestryNode(
            node_id="e-1", kind=pb.ANCESTRY_KIND_EVENT, depth=-1, title="k",
            event=pb.EventName(source="/road", id="e1", type="traffic", position=1),
        ),
        pb.AncestryNode(node_id="i-1", kind=pb.ANCESTRY_KIND_INSTRUCTION, depth=1, cut=True),
        pb.AncestryNode(node_id="i-2", kind=pb.ANCESTRY_KIND_INSTRUCTION, depth=1),
    ],
    edges=[
        pb.AncestryEdge(cause_id="e-1", effect_id="c-1"),
        pb.AncestryEdge(cause_id="c-1", effect_id="i-1"),
        pb.AncestryEdge(cause_id="c-1", effect_id="i-2"),
    ],
    cut=True,
)  # fmt: skip


def test_each_node_is_a_box_and_each_edge_a_line_from_left_to_right() -> None:
    text = picture_of(ANSWER)
    assert "http" not in text.replace("http://www.w3.org/2000/svg", "")
    root = ElementTree.fromstring(text)
    boxes = root.findall(f"{SVG}g")
    assert [one.findtext(f"{SVG}title") for one in boxes] == [
        "decision c-1: rule <b> fired",
        "event e-1: traffic e1 from /road · k",
        "instruction i-1 …: ",
        "instruction i-2: ",
    ]
    across = [int(one.find(f"{SVG}rect").get("x", "")) for one in boxes]  # type: ignore[union-attr]
    assert across[1] < across[0] < across[2] == across[3]
    assert len(root.findall(f"{SVG}path")) == 3
    assert "more is left out" in text


def test_its_document_has_the_same() -> None:
    document = ancestry_document(ANSWER)
    assert document["root"] == "c-1"
    assert [one["depth"] for one in document["nodes"]] == [0, -1, 1, 1]
    assert document["edges"][0] == {"cause": "e-1", "effect": "c-1"}
    assert document["nodes"][1]["event"]["type"] == "traffic"
