"""Prints the reference part of `docs/configuration.md`."""

from __future__ import annotations

import sys

from relay.config import page

sys.stdout.write(page.page())
