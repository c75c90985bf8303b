"""What every `IdempotencyStore` does; give a subclass the fixture `keys`, empty."""

from __future__ import annotations

from datetime import datetime, timedelta

from gateway.services.access.idempotency import Claim, IdempotencyStore, KeyRecord, StoredResponse

AT = datetime(2030, 5, 1, 12, 0, 0, 123000)
LEASE = timedelta(seconds=60)
ANSWER = StoredResponse(201, {"ETag": '"r1"', "Location": "/x"}, b"\x00body", packed=True)


def claim(
    attempt: str = "one",
    *,
    key: str = "k",
    fingerprint: str = "f",
    at: datetime = AT,
    takes_over: bool = True,
    customers: tuple[str, ...] = (),
) -> Claim:
    """Return a claim for a minute, of a key that expires in years."""
    return Claim(key, fingerprint, attempt, at, at + LEASE, at + timedelta(days=1), takes_over, customers)


def running(attempt: str = "one", attempts: int = 1, since: datetime = AT) -> KeyRecord:
    """Return what stands under the key while an attempt runs that began at `since`."""
    return KeyRecord("f", attempt, attempts, AT, since + LEASE, None)


class IdempotencyStoreContract:
    def test_claim_of_a_free_key(self, keys: IdempotencyStore) -> None:
        assert keys.claim(claim()) == running()

    def test_claim_of_another_key(self, keys: IdempotencyStore) -> None:
        keys.claim(claim())
        assert keys.claim(claim("two", key="other")) == running("two")

    def test_claim_of_a_key_that_is_held(self, keys: IdempotencyStore) -> None:
        keys.claim(claim())
        assert keys.claim(claim("two", at=AT + timedelta(seconds=59))) == running()

    def test_claim_by_another_request(self, keys: IdempotencyStore) -> None:
        keys.claim(claim())
        assert keys.claim(claim("two", fingerprint="other", at=AT + LEASE)) == running()

    def test_claim_of_a_key_whose_attempt_broke_off(self, keys: IdempotencyStore) -> None:
        keys.claim(claim())
        assert keys.claim(claim("two", at=AT + LEASE)) == running("two", 2, AT + LEASE)
        assert keys.claim(claim("three", at=AT + LEASE)) == running("two", 2, AT + LEASE)

    def test_claim_that_does_not_take_over(self, keys: IdempotencyStore) -> None:
        keys.claim(claim())
        assert keys.claim(claim("two", at=AT + LEASE, takes_over=False)) == running()

    def test_finish_keeps_the_answer(self, keys: IdempotencyStore) -> None:
        keys.claim(claim())
        keys.finish("k", "one", ANSWER)
        assert keys.claim(claim("two", at=AT + LEASE)).answer == ANSWER

    def test_finish_keeps_an_answer_without_a_body(self, keys: IdempotencyStore) -> None:
        keys.claim(claim())
        keys.finish("k", "one", StoredResponse(200, {}, None))
        assert keys.claim(claim("two")).answer == StoredResponse(200, {}, None)

    def test_finish_by_an_attempt_that_was_given_up(self, keys: IdempotencyStore) -> None:
        keys.claim(claim())
        keys.claim(claim("two", at=AT + LEASE))
        keys.finish("k", "one", ANSWER)
        assert keys.claim(claim("three", at=AT + LEASE)) == running("two", 2, AT + LEASE)

    def test_finish_of_a_key_that_is_gone(self, keys: IdempotencyStore) -> None:
        keys.finish("k", "one", ANSWER)
        assert keys.claim(claim()) == running()

    def test_break_off_lets_another_take_over_at_once(self, keys: IdempotencyStore) -> None:
        keys.claim(claim())
        keys.break_off("k", "another", AT)
        assert keys.claim(claim("two")) == running()
        keys.break_off("k", "one", AT)
        assert keys.claim(claim("two")) == running("two", 2)

    def test_release_frees_the_key(self, keys: IdempotencyStore) -> None:
        keys.claim(claim())
        keys.release("k", "another")
        assert keys.claim(claim("two")) == running()
        keys.release("k", "one")
        assert keys.claim(claim("two", fingerprint="f")) == running("two")

    def test_erase_empties_the_answers_that_concern_the_customer(self, keys: IdempotencyStore) -> None:
        keys.claim(claim(customers=("A", "B")))
        keys.finish("k", "one", ANSWER)
        keys.claim(claim(key="other", customers=("B",)))
        keys.finish("other", "one", ANSWER)
        assert keys.erase("A") == 1
        assert keys.claim(claim("two")).answer == StoredResponse(201, {}, None)
        assert keys.claim(claim("two", key="other")).answer == ANSWER
        assert keys.erase("A") == 0
        assert keys.erase("nobody") == 0

    def test_erase_reaches_answers_that_are_yet_to_come(self, keys: IdempotencyStore) -> None:
        keys.claim(claim(customers=("A",)))
        assert keys.erase("A") == 0
        keys.finish("k", "one", ANSWER)
        assert keys.claim(claim("two")).answer == StoredResponse(201, {}, None)
