"""HTTP comes in: health, metrics, the command line's door; later callbacks and the dashboard."""
