"""Until when the server lets this worker's attempts live, as far as the worker can know.

The server is authoritative: it judges by its own clock and its own commits. A worker knows only that an echo was
confirmed, and when it SENT that echo; the server counted from some later instant, so counting from the sending is
always on the safe side. The clock is CLOCK_BOOTTIME: time in suspend is time. A confirmation that never comes (the
database stands still, the stream is half open) moves nothing, and the lease runs out here no later than there.
"""

from __future__ import annotations

import time
from collections import OrderedDict

NONCES_MAX = 64


def boottime() -> float:
    """Seconds on the clock that counts suspend. Equal in all processes of a machine."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


class Lease:
    """The lease of one session. `heard_at` is when the server was last heard, `ends_at` when the lease ends here."""

    def __init__(self, ttl_seconds: float, hello_sent_at: float, now: float) -> None:
        self._ttl = ttl_seconds
        self._sent: OrderedDict[bytes, float] = OrderedDict()
        self.heard_at = now
        self.ends_at = hello_sent_at + ttl_seconds

    def heard(self, nonce: bytes, confirmed: bytes, now: float) -> bool:
        """A heartbeat arrived whose nonce is echoed `now`. Whether the lease was moved."""
        self.heard_at = now
        self._sent[nonce] = now
        while len(self._sent) > NONCES_MAX:
            self._sent.popitem(last=False)
        return self._confirm(confirmed)

    def _confirm(self, nonce: bytes) -> bool:
        sent_at = self._sent.get(nonce)
        if sent_at is None or sent_at + self._ttl <= self.ends_at:
            return False
        self.ends_at = sent_at + self._ttl
        while next(iter(self._sent)) != nonce:
            self._sent.popitem(last=False)
        return True
