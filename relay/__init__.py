"""smsc-relay: an SMTP relay that turns e-mail into phone messages through SMSC."""

__version__ = "0.1.0"
