"""HTTP comes in: health, metrics, callbacks, the command line's door; later the dashboard."""
