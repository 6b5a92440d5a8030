"""What a report says of a recipient's escalation. Pure.

A step is named by its channel, its alias or its address; a number that the operator wrote into
the configuration is not the sender's to see.
"""

from __future__ import annotations

from collections.abc import Sequence

from relay.queue.followups import Step

_WORDS = {
    "en": {
        "line": "escalation, step {n} of {of} ({what}): {said}",
        "waiting": "waits for its time",
        "done": "was sent",
        "over": "was not sent: {why}",
        "another phone": "another phone",
    },
    "ru": {
        "line": "эскалация, шаг {n} из {of} ({what}): {said}",
        "waiting": "ждёт своего времени",
        "done": "отправлен",
        "over": "не отправлен: {why}",
        "another phone": "другой телефон",
        "somebody has taken the alarm": "тревогу приняли",
        "the message was delivered": "сообщение доставлено",
        "another message that went out with it is escalated": "эскалировано сообщение, ушедшее вместе с ним",
        "the problem is over": "проблема устранена",
    },
}


def notes(steps: Sequence[Step], recipient: int, language: str) -> tuple[str, ...]:
    """A line for each step of a recipient, in their order."""
    words = _WORDS.get(language, _WORDS["en"])
    own = [step for step in steps if step.recipient_id == recipient]
    return tuple(
        words["line"].format(
            n=step.n,
            of=len(own),
            what=words.get(step.what, step.what),
            said=words[step.state.value].format(why=words.get(step.said, step.said)),
        )
        for step in own
    )
