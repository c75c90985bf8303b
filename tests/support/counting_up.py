"""A client that counts up balances by reading, adding one and writing with If-Match; light, since many are started."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import NamedTuple

import urllib3


class Counted(NamedTuple):
    """How often one was added to each customer's balance, and how often somebody else was faster."""

    added: dict[str, int]
    refused: int


def count_up(base: str, key: str, cust_ids: Sequence[str], times: int, seed: int) -> Counted:
    """Add one `times` times, each time to a customer drawn at random; begin anew where somebody else was faster."""
    dice, counted = random.Random(seed), Counted(dict.fromkeys(cust_ids, 0), 0)
    headers = {"Authorization": f"Bearer {key}"}
    with urllib3.PoolManager(timeout=30.0, retries=False) as http:
        while sum(counted.added.values()) < times:
            cust_id = dice.choice(cust_ids)
            url = f"{base}/api/v1/customers/{cust_id}"
            read = http.request("GET", url, headers=headers)
            assert read.status == 200, read.data
            changes, known = {"BALANCE": read.json()["BALANCE"] + 1}, {"If-Match": read.headers["ETag"]}
            written = http.request("PATCH", url, json=changes, headers={**headers, **known})
            assert written.status in (200, 412), written.data
            counted.added[cust_id] += written.status == 200
            counted = counted._replace(refused=counted.refused + (written.status == 412))
    return counted
