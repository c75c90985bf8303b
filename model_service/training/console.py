"""What a training tells the person who started it."""

from __future__ import annotations

from collections.abc import Sequence

from model_service.manifest import Manifest

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


def describe(manifest: Manifest) -> str:
    """Return the table of every k tried, why k was chosen, and the segments found."""
    return "\n".join(["", scores_table(manifest), "", manifest["choice"], "", segments_text(manifest)])


def scores_table(manifest: Manifest) -> str:
    """Return the scores of every k tried; a star marks the chosen one."""
    rows = [
        [("*" if s["k"] == manifest["k"] else " ") + format(s["k"], "d")]
        + [format(s[name], spec) for name, spec in _SCORES.items() if name != "k"]
        for s in manifest["scores"]
    ]
    return _table([name.replace("_", " ") for name in _SCORES], rows)


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
