"""Drift and preview as text for a terminal."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from shared.model_contract import DistanceDrift, Drift, MixDrift, Mover, Preview, PreviewSegment


def drift_text(drift: Drift) -> str:
    """Return the verdict, the features from the most shifted on, the mix of segments and the remarks."""
    verdict = drift["verdict"].replace("_", " ")
    parts = [f"{drift['rows']:,} customers against the training of {drift['model_version']}: {verdict}"]
    if drift["features"]:
        rows = [[f["feature"], f"{f['psi']:.4f}", f"{f['limit']:.4f}", f["tier"]] for f in drift["features"]]
        parts.append(_table(["feature", "psi", "chance", "tier"], rows))
    if drift["segment_mix"]:
        parts.append(_mix_text(drift["segment_mix"]))
    if drift["distance"]:
        parts.append(_distance_text(drift["distance"]))
    return "\n\n".join([*parts, _list(drift["remarks"])])


def preview_text(preview: Preview) -> str:
    """Return who goes where, whom it affects most, and the remarks."""
    heading = f"{preview['rows']:,} customers if {preview['candidate']} replaces {preview['active']}"
    parts = [heading, _names(preview["before"], preview["after"]), _matrix(preview)]
    if preview["customers"]:
        head = ["most affected", "before", "sure", "after", "sure", "balance", "limit"]
        parts.append(_table(head, [_mover(m) for m in preview["customers"]]))
    return "\n\n".join([*parts, _list(preview.get("remarks", []))])


def _mix_text(mix: MixDrift) -> str:
    rows = [[identity, f"{share:.1%}", f"{mix['now'][identity]:.1%}"] for identity, share in mix["training"].items()]
    table = _table(["segment", "training", "now"], rows)
    return f"{table}\nmix of segments: psi {mix['psi']:.4f}, chance {mix['limit']:.4f}, {mix['tier']}"


def _distance_text(distance: DistanceDrift) -> str:
    return (
        f"distance to the segment's centre: median {distance['median']:.2f}, {distance['training_median']:.2f} in "
        f"training; {distance['beyond_limit']:.2%} beyond the distance that 0.10% exceeded in training"
    )


def _names(before: Iterable[PreviewSegment], after: Iterable[PreviewSegment]) -> str:
    # Of a segment that both versions have, the candidate's name is told.
    segments = {s["id"]: s for s in [*before, *after]}
    return "\n".join(f"{s['id']}  {s['name']}  ({s['status']})" for s in segments.values())


def _matrix(preview: Preview) -> str:
    rows = [
        [segment["id"], *(f"{count:,}" if count else "." for count in counts)]
        for segment, counts in zip(preview["before"], preview["transitions"], strict=True)
    ]
    return _table(["before / after", *(s["id"] for s in preview["after"])], rows)


def _mover(mover: Mover) -> list[str]:
    limit = mover["credit_limit"]
    return [
        mover["CUST_ID"] or "(no id)",
        mover["before"],
        f"{mover['confidence_before']:.2f}",
        mover["after"],
        f"{mover['confidence_after']:.2f}",
        f"{mover['balance']:,.2f}",
        "-" if limit is None else f"{limit:,.0f}",
    ]


def _list(remarks: Iterable[str]) -> str:
    return "\n".join(f"- {remark}" for remark in remarks)


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    widths = [max(len(row[i]) for row in [head, *rows]) for i in range(len(head))]
    lines = ([row[0].ljust(widths[0]), *map(str.rjust, row[1:], widths[1:])] for row in [head, *rows])
    return "\n".join("  ".join(line) for line in lines)
