"""`smsc-relay` whose leases are seconds: a node that died is missed before a test grows impatient."""

from __future__ import annotations

from relay.cli import main
from relay.delivery import chores, leases, membership
from relay.queue import nodes

LEASE = 1500
PATIENCE = 1500


def hurry() -> None:
    """Make everything short for which nodes wait."""
    nodes.LEASE, nodes.PATIENCE = LEASE, PATIENCE
    leases.SHARED_LEASE = LEASE
    membership.BEAT, membership.LOOK = 0.2, 1.0
    membership._MARGIN = 200
    chores.EVERY = 500


if __name__ == "__main__":
    hurry()
    main()
