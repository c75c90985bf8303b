"""The pages of the customers."""

from __future__ import annotations

from collections.abc import Sequence

from gateway.pages.controllers.customers import (
    CustomerPageController,
    CustomerTableController,
    DeletedCustomersController,
)
from gateway.pages.routes import page
from gateway.routes import Route, Work
from gateway.services.principal import Scope


def customers(
    table: CustomerTableController, one: CustomerPageController, deleted: DeletedCustomersController
) -> Sequence[Route]:
    """Return the routes of the customers' pages; the deleted ones lie apart, where no CUST_ID can hide them."""
    read = Scope.CUSTOMERS_READ
    return (
        page("/customers", table.table, read, table.PARAMETERS, Work.BOTH),
        page("/customers/<cust_id>", one.show, read, one.PARAMETERS, Work.BOTH),
        page("/deleted-customers", deleted.list, read, deleted.PARAMETERS, Work.BOTH),
    )
