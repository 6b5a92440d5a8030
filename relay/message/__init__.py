"""Mail becomes orders: addresses, the mail's texts and files, routes, channels, parameters."""
