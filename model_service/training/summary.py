"""The summary of a training, as text for its log and for the terminal."""

from __future__ import annotations

from collections.abc import Sequence

from model_service.store.manifest import Evidence, Manifest

_SCORES = {
    "k": "d",
    "inertia": ".0f",
    "silhouette": ".3f",
    "davies_bouldin": ".3f",
    "calinski_harabasz": ".0f",
    "stability_mean": ".3f",
    "stability_min": ".3f",
    "smallest_share": ".1%",
}


def summary(manifest: Manifest) -> str:
    """Return the table of every k tried, why k was chosen and what speaks against it, and the segments found."""
    parts = [
        scores_table(manifest),
        choice_text(manifest),
        segments_text(manifest),
        evidence_text(manifest["evidence"]),
    ]
    return "\n" + "\n\n".join(parts)


def scores_table(manifest: Manifest) -> str:
    """Return the scores of every k tried; a star marks the chosen one."""
    rows = [
        [("*" if s["k"] == manifest["k"] else " ") + format(s["k"], "d")]
        + [format(s[name], spec) for name, spec in _SCORES.items() if name != "k"]
        for s in manifest["scores"]
    ]
    return _table([name.replace("_", " ") for name in _SCORES], rows)


def choice_text(manifest: Manifest) -> str:
    """Return why k was chosen, and what the scores say about it."""
    return "\n".join([manifest["choice"], *(f"- {remark}" for remark in manifest["evidence"]["remarks"])])


def evidence_text(evidence: Evidence) -> str:
    """Return how far confidence, rule sheet and model can be trusted, each in a line."""
    baseline = evidence["baseline"]
    return "\n".join(
        [
            f"confidence: wrong by at most {evidence['calibration_error']:.3f} on held-out refits",
            f"rule sheet: agrees with the model on {evidence['fidelity']:.1%} of held-out customers",
            f"plain rule ({baseline['rule']}): explains {baseline['eta2_rule']:.1%} of the rank variance of the key "
            f"figures, the model {baseline['eta2_model']:.1%}",
        ]
    )


def segments_text(manifest: Manifest) -> str:
    """Return the segments, largest first, with their actions."""
    lines = []
    for s in manifest["segments"]:
        lines.append(f"{s['id']}  {s['name']}  ({s['size']} customers, {s['share']:.1%}, {s['match']['status']})")
        lines += [f"        - {action}" for action in s["actions"]]
    if manifest["retired"]:
        lines.append(f"retired: {', '.join(manifest['retired'])}")
    return "\n".join(lines)


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    widths = [max(len(row[i]) for row in [head, *rows]) for i in range(len(head))]
    return "\n".join("  ".join(cell.rjust(w) for cell, w in zip(row, widths, strict=True)) for row in [head, *rows])
