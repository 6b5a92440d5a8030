"""The sender hears back: notices become reports, and reports become mail.

`dsn` composes one report mail (RFC 3464) out of facts, `words` holds its sentences in each
language, `fields` makes foreign text safe for headers, `transport` hands a composed report
to a smarthost or a maildir. When a report is due, and to whom, is not decided here but by
the notices and the mailer.
"""
