"""Every metric, in one registry; docs/operations.md says what each asks of an operator."""

from __future__ import annotations

from functools import cache
from typing import TypeVar

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

Metric = TypeVar("Metric", Counter, Histogram)

REGISTRY = CollectorRegistry()

MAILS = Counter("relay_mails", "Mails answered 250.", registry=REGISTRY)
REPEATED = Counter("relay_mails_repeated", "Mails that repeated one taken before.", registry=REGISTRY)
REFUSED = Counter("relay_refused", "Refusals at MAIL, RCPT and DATA.", ["status"], registry=REGISTRY)
ORDERS = Counter("relay_orders", "Orders made of mails.", ["channel"], registry=REGISTRY)
MOVES = Counter("relay_order_moves", "Orders that came to a state.", ["account", "state"], registry=REGISTRY)
CALLS = Counter("relay_calls", "Calls to the provider.", ["account", "kind", "result"], registry=REGISTRY)
CALL_SECONDS = Histogram(
    "relay_call_seconds", "How long calls to the provider took.", ["account", "kind"], registry=REGISTRY
)
LENT = Counter(
    "relay_orders_lent", "Orders that another account took over.", ["account", "to"], registry=REGISTRY
)
IN_FLIGHT = Gauge("relay_calls_in_flight", "Calls under way.", ["account"], registry=REGISTRY)
RESTING = Gauge("relay_account_resting", "1 while an account rests.", ["account"], registry=REGISTRY)
QUEUE = Gauge("relay_queue_orders", "Orders in each unfinished state.", ["state"], registry=REGISTRY)
OLDEST = Gauge(
    "relay_queue_oldest_seconds", "How long the provider has not got the oldest due order.", registry=REGISTRY
)
REPORTS = Counter("relay_reports", "Reports handed over.", ["verdict"], registry=REGISTRY)
CALLBACKS = Counter("relay_callbacks", "Callbacks of the provider.", ["account", "result"], registry=REGISTRY)
LOGINS = Counter("relay_smtp_logins", "Logins, by what came of them.", ["result"], registry=REGISTRY)
TLS = Counter("relay_smtp_tls", "TLS handshakes, by version, or failed.", ["result"], registry=REGISTRY)
TLS_EXPIRES = Gauge("relay_tls_expires", "When the certificate expires, Unix time.", registry=REGISTRY)
TLS_STALE = Gauge("relay_tls_stale", "1 while new certificate files can't be used.", registry=REGISTRY)
CHECKS = Counter("relay_sender_checks", "Checks of senders.", ["check", "result"], registry=REGISTRY)
DNS = Counter("relay_dns_answers", "What DNS answered.", ["result"], registry=REGISTRY)
CONNECTIONS = Gauge("relay_smtp_connections", "Open SMTP connections.", registry=REGISTRY)
LIMITED = Counter("relay_limited", "Limits of the front door that clients met.", ["limit"], registry=REGISTRY)


@cache
def labelled(metric: Metric, *labels: str) -> Metric:
    """A metric with its labels, looked up once: labels are words of ours or of the configuration."""
    return metric.labels(*labels)
