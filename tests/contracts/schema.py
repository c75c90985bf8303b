"""What every `Schema` does: run over the fake and over a real mongod."""

from __future__ import annotations

from gateway.services.schema import Schema


class SchemaContract:
    """Subclass it in a test module and give it a fixture `schema` of a database that lacks everything."""

    def test_what_is_missing_is_named_and_made_once(self, schema: Schema) -> None:
        missing = schema.missing()
        assert {"customers.model_version", "customers.segment_by_BALANCE"} <= set(missing)
        assert schema.bring_up_to_date() == len(missing)
        assert schema.missing() == []
        assert schema.bring_up_to_date() == 0

    def test_what_only_lists_need_can_be_put_off(self, schema: Schema) -> None:
        schema.bring_up_to_date(put_off=True)
        missing = schema.missing()
        assert "customers.segment_by_BALANCE" in missing
        assert "customers.model_version" not in missing
        assert schema.bring_up_to_date(put_off=True) == 0
        assert schema.bring_up_to_date() == len(missing)
