"""Orders go out, outcomes come home."""
