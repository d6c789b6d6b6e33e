"""How often one caller may ask what is open to all, or about persons; counted in this process's memory.

The dependency of a route: `Depends(limited("person", 60))`, after the one that says who asks. Headers on every answer:
`RateLimit-Policy` and `RateLimit` (draft-ietf-httpapi-ratelimit-headers-10); with 429 `Retry-After` too.
"""

import math
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import ClassVar

from fastapi import Request
from limits import RateLimitItemPerMinute
from limits.aio.storage import MemoryStorage
from limits.aio.strategies import MovingWindowRateLimiter

from events.problem import Problem


@dataclass(eq=False)
class TooManyRequests(Problem):
    """More than this caller may ask; nothing was done."""

    retry_after: int  # seconds
    code: ClassVar[str] = "too_many_requests"
    status: ClassVar[int] = 429
    retryable: ClassVar[bool] = True
    sentence_id: ClassVar[str] = "Terlalu banyak permintaan; tidak ada yang dikerjakan. Ulangi setelah {retry_after} detik."
    sentence_en: ClassVar[str] = "Too many requests; nothing was done. Try again after {retry_after} s."


def limited(name: str, per_minute: int) -> Callable[[Request], Awaitable[None]]:
    """A dependency that counts a caller (by token, else by address). Raises TooManyRequests."""
    item, limiter = RateLimitItemPerMinute(per_minute), MovingWindowRateLimiter(MemoryStorage())

    async def count(request: Request) -> None:
        caller = getattr(request.state, "caller", None)
        who = caller.name if caller else f"at {request.client.host if request.client else '?'}"
        allowed = await limiter.hit(item, who)
        reset, left = await limiter.get_window_stats(item, who)
        wait_s = max(1, math.ceil(reset - time.time()))
        request.state.headers = {
            "ratelimit-policy": f'"{name}";q={per_minute};w=60',
            "ratelimit": f'"{name}";r={left};t={wait_s}',
        }
        if not allowed:
            raise TooManyRequests(wait_s)

    return count
