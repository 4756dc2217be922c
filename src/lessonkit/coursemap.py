"""The map of the system that every lesson shows, with that lesson's part lit.

The map is Mermaid text, which JupyterLab draws. It stands in the lessons' Markdown; a test
compares it with what this module gives.
"""

from __future__ import annotations

# node: (label, lessons that light it)
NODES = {
    "data": ("flights of 2013", {0}),
    "train": ("training", {0, 5}),
    "bundle": ("bundle: model.onnx + bundle.json", {1}),
    "api": ("REST service", {2, 3}),
    "box": ("container", {4}),
    "scale": ("more workers", {7}),
    "gate": ("gate in CI/CD", {5}),
    "log": ("prediction log", {6}),
    "watch": ("monitoring", {6}),
}
ARROWS = [
    "data --> train --> gate --> bundle --> api",
    "api --> box --> scale",
    "api --> log --> watch",
    "watch -- alert --> train",
]


def mermaid(lesson: int) -> str:
    """The map as a fenced Mermaid block, the parts of one lesson lit.

    Parameters
    ----------
    lesson
        The lesson's number, 0 to 7.
    """
    lines = ["```mermaid", "flowchart LR"]
    lines += [f'    {node}["{label}"]' for node, (label, _) in NODES.items()]
    lines += [f"    {arrow}" for arrow in ARROWS]
    lines.append("    classDef lit fill:#e69f00,stroke:#8a5f00,color:#000")
    lines.append(f"    class {','.join(node for node, (_, lessons) in NODES.items() if lesson in lessons)} lit")
    return "\n".join([*lines, "```"])
