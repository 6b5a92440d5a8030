"""`smsc-relay` as `hurried` has it, on a machine whose wall clock is wrong by `SKEW` seconds."""

from __future__ import annotations

import os
import time

from hurried import hurry

from relay.cli import main

if __name__ == "__main__":
    wrong, true = int(os.environ["SKEW"]), time.time_ns
    time.time_ns = lambda: true() + wrong * 1_000_000_000
    time.time = lambda: time.time_ns() / 1e9
    hurry()
    main()
