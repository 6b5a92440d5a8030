"""`smsc-relay` as `hurried` has it, to which a database that is silent for seconds is gone."""

from __future__ import annotations

from hurried import hurry

from relay.cli import main
from relay.queue import ear, joining

if __name__ == "__main__":
    joining.CONNECT, joining.ANSWER = 2.0, 4.0
    ear.LOOK = 1.0
    hurry()
    main()
