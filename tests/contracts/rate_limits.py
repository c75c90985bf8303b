"""What every `QuotaStore` does; give a subclass the fixture `quotas`, empty."""

from __future__ import annotations

import pytest

from gateway.services.access.rate_limits import QuotaStore, Rate, share

RATE = Rate(100, 60)


class QuotaStoreContract:
    def test_take_begins_a_window(self, quotas: QuotaStore) -> None:
        grant = quotas.take("k", RATE, 5)
        assert (grant.tokens, grant.left) == (5, 95)
        assert 50 < grant.seconds <= 60

    @pytest.mark.parametrize(("amount", "most"), [(1, 1), (7, 1), (100, 1), (100, 5), (1_000, 400)])
    def test_take_shares_a_window_out_until_nothing_is_left(self, quotas: QuotaStore, amount: int, most: int) -> None:
        left = amount
        while left:
            grant = quotas.take("k", Rate(amount, 60), most)
            assert grant.tokens == share(left, most) > 0
            left -= grant.tokens
            assert grant.left == left
        for _ in range(2):
            assert quotas.take("k", Rate(amount, 60), most)[:2] == (0, 0)

    def test_windows_of_one_key_end_together(self, quotas: QuotaStore) -> None:
        first, second = quotas.take("k", RATE, 1), quotas.take("k", RATE, 1)
        assert second.seconds <= first.seconds

    def test_keys_and_rates_have_windows_of_their_own(self, quotas: QuotaStore) -> None:
        quotas.take("k", RATE, 100)
        assert quotas.take("other", RATE, 1).left == 99
        assert quotas.take("k", Rate(100, 3600), 1).left == 99
        assert quotas.take("k", Rate(50, 60), 1).left == 49
