"""Mail comes in: the SMTP and LMTP front door."""
