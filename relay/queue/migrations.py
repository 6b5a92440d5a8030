"""What brings a database to each version of the schema from the one before, in words of both databases.

What a new database gets stands in `schema`; a test holds the two against each other.
"""

from __future__ import annotations

from collections.abc import Mapping

MIGRATIONS: Mapping[int, tuple[str, ...]] = {
    2: (
        "ALTER TABLE orders ADD COLUMN alarm TEXT NOT NULL DEFAULT ''",
        "ALTER TABLE orders ADD COLUMN label TEXT NOT NULL DEFAULT ''",
    ),
    3: (
        "ALTER TABLE orders ADD COLUMN accounts TEXT NOT NULL DEFAULT ''",
        # a phone that two accounts spoke to keeps what it heard last
        """DELETE FROM phone WHERE EXISTS (
            SELECT 1 FROM phone AS other WHERE other.target = phone.target AND (
                other.last_at > phone.last_at
                OR (other.last_at = phone.last_at AND other.account > phone.account)))""",
        "UPDATE phone SET account = ''",
        "ALTER TABLE orders ADD COLUMN source TEXT NOT NULL DEFAULT ''",
        "ALTER TABLE orders ADD COLUMN quiet TEXT NOT NULL DEFAULT ''",
        "ALTER TABLE orders ADD COLUMN cap TEXT NOT NULL DEFAULT ''",
        "ALTER TABLE orders ADD COLUMN counted_at BIGINT",
        "CREATE INDEX orders_held ON orders (cap, id) WHERE state = 'held'",
        (
            "CREATE TABLE spent (cap TEXT NOT NULL, at BIGINT NOT NULL, messages BIGINT NOT NULL, "
            "parts BIGINT NOT NULL, cost BIGINT NOT NULL, PRIMARY KEY (cap, at))"
        ),
        "CREATE INDEX spent_at ON spent (at)",
        "CREATE TABLE heard (account TEXT NOT NULL, at BIGINT NOT NULL, PRIMARY KEY (account))",
        """CREATE TABLE incoming (id BIGINT NOT NULL, mark TEXT NOT NULL, account TEXT NOT NULL,
            phone TEXT NOT NULL, to_phone TEXT NOT NULL, kind TEXT NOT NULL, text TEXT NOT NULL,
            received_at BIGINT NOT NULL, order_id BIGINT, notice_id BIGINT, PRIMARY KEY (id))""",
        "CREATE UNIQUE INDEX incoming_mark ON incoming (mark)",
        "CREATE INDEX incoming_phone ON incoming (phone, received_at)",
        "CREATE INDEX incoming_received ON incoming (received_at)",
        "CREATE INDEX incoming_notice ON incoming (notice_id) WHERE notice_id IS NOT NULL",
        "CREATE INDEX orders_target ON orders (target, sent_at) WHERE sent_at IS NOT NULL",
        "ALTER TABLE orders ADD COLUMN mask TEXT NOT NULL DEFAULT ''",
        "ALTER TABLE orders ADD COLUMN topic TEXT NOT NULL DEFAULT ''",
        "ALTER TABLE orders ADD COLUMN digests BIGINT NOT NULL DEFAULT 0",
        "ALTER TABLE orders ADD COLUMN over_at BIGINT",
        "CREATE INDEX orders_storm ON orders (account, target) WHERE state = 'waiting'",
        "UPDATE orders SET rank = 2 * rank WHERE rank <> 0",  # between two priorities go recoveries
        "ALTER TABLE mail ADD COLUMN results TEXT NOT NULL DEFAULT ''",
    ),
    4: (
        "ALTER TABLE account ADD COLUMN answer_id BIGINT NOT NULL DEFAULT 0",
        "ALTER TABLE account ADD COLUMN answers_at BIGINT",
        "ALTER TABLE incoming ADD COLUMN took BIGINT NOT NULL DEFAULT 0",
        "ALTER TABLE incoming ADD COLUMN told TEXT NOT NULL DEFAULT ''",
        "ALTER TABLE orders ADD COLUMN answered_at BIGINT",
        "ALTER TABLE notice ADD COLUMN lead_id BIGINT",
        """CREATE TABLE step (id BIGINT NOT NULL, version BIGINT NOT NULL, mail_id BIGINT NOT NULL,
            recipient_id BIGINT NOT NULL, n BIGINT NOT NULL, after BIGINT NOT NULL, unless TEXT NOT NULL,
            channel TEXT NOT NULL, goal TEXT NOT NULL, state TEXT NOT NULL, due_at BIGINT, ended_at BIGINT,
            made_id BIGINT, said TEXT NOT NULL, PRIMARY KEY (id))""",
        "CREATE INDEX step_mail ON step (mail_id)",
        "CREATE INDEX step_due ON step (due_at) WHERE due_at IS NOT NULL",
        "CREATE INDEX notice_lead ON notice (lead_id) WHERE lead_id IS NOT NULL",
    ),
    5: (
        "ALTER TABLE orders ADD COLUMN asleep BIGINT NOT NULL DEFAULT 0",
        "DROP INDEX orders_age",
        "DROP INDEX orders_due",
        "DROP INDEX orders_storm",
        "DROP INDEX orders_started",
        "DROP INDEX orders_open",
        "DROP INDEX mail_received",
        (
            "CREATE INDEX orders_age ON orders (account, rank, id, due_at) "
            "WHERE state = 'waiting' AND asleep = 0"
        ),
        "CREATE INDEX orders_due ON orders (account, asleep, due_at) WHERE state = 'waiting'",
        (
            "CREATE INDEX orders_storm ON orders (account, target, rank, id) "
            "WHERE state = 'waiting' AND asleep = 0"
        ),
        "CREATE INDEX orders_moving ON orders (account, rank, id) WHERE state = 'waiting' AND accounts <> ''",
        "CREATE INDEX orders_started ON orders (state, start_at) WHERE finished_at IS NULL",
        (
            "CREATE INDEX orders_open ON orders (expire_at) "
            "WHERE finished_at IS NULL AND sent_at IS NULL AND merged_into IS NULL"
        ),
        (
            "CREATE INDEX orders_spoken ON orders (kind, expire_at) "
            "WHERE finished_at IS NULL AND merged_into IS NOT NULL"
        ),
        "CREATE INDEX request_calling ON request (id) WHERE state = 'calling'",
        "ALTER TABLE mail ADD COLUMN timing TEXT NOT NULL DEFAULT ''",
        """CREATE TABLE stray (id BIGINT NOT NULL, account TEXT NOT NULL, name TEXT NOT NULL,
            phone TEXT NOT NULL, status TEXT NOT NULL, at BIGINT NOT NULL, PRIMARY KEY (id))""",
        "CREATE INDEX stray_at ON stray (at, id)",
    ),
}
"""What brings a database to a version from the one before; every version after the first is here."""
