"""What every request passes on its way to a controller, and every answer on its way back.

The middleware of a route (`Around`) is chosen by its kind of work: who calls, how often, with which parameters, what
happens when a request is repeated, and how many at once. What all requests pass whatever their address, `gateway.app`
puts around the application: cross-origin requests, security headers, the request log, errors as problems.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from gateway.middleware.authenticate import authenticated, open_to
from gateway.middleware.concurrency import concurrency_limited, limits_by_work
from gateway.middleware.idempotency import idempotent
from gateway.middleware.query_parameters import query_parameters
from gateway.middleware.rate_limit import anonymous_rate_limited, rate_limited
from gateway.routes import Around, Work
from gateway.services.access.authentication import Authentication
from gateway.services.access.concurrency import ConcurrencyLimits
from gateway.services.access.idempotency import IdempotencyService
from gateway.services.access.rate_limits import Limits
from gateway.services.access.sessions import Sessions
from shared.networks import Network


def middleware_by_work(
    authentication: Authentication,
    sessions: Sessions,
    limits: Limits,
    idempotency: IdempotencyService,
    bounds: ConcurrencyLimits,
    metrics_networks: Sequence[Network],
    lease: float,
    long_lease: float,
) -> Mapping[Work, Sequence[Around]]:
    """Return what surrounds a route of each kind of work; the first is asked first.

    Parameters
    ----------
    lease, long_lease : seconds after which a request with an Idempotency-Key, whose process has died, may be tried
        again; of quick and of long work.
    """
    callers = (anonymous_rate_limited(limits.anonymous), authenticated(authentication, sessions))
    bounded = concurrency_limited(limits_by_work(bounds))
    counted = (*callers, rate_limited(limits.default))
    quick = (*callers, rate_limited(limits.default), query_parameters, bounded, idempotent(idempotency, lease))
    bulk = (*callers, rate_limited(limits.bulk), query_parameters, bounded, idempotent(idempotency, long_lease))
    return {
        Work.LIVENESS: (query_parameters,),
        Work.PAGE: quick,
        Work.QUICK: quick,
        Work.MANY: quick,
        Work.MODEL: quick,
        Work.BOTH: quick,
        Work.EXPORT: bulk,
        Work.BULK: bulk,
        Work.LONG: bulk,
        Work.WAIT: quick,
        Work.METRICS: (open_to(metrics_networks, counted), query_parameters),
    }
