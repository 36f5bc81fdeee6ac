"""The leases of a process in its memory: what may be reserved without asking the database."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from aspora.ledger.interface import AccountKey, Part


@dataclass(slots=True)
class _Share:
    """Of one account. `free` and `held` together are the lease's amount in the database."""

    account: int
    free: int = 0
    held: int = 0
    used: int = 0
    is_stopped: bool = False


class Purse:
    """What one lease of the process has in each account; of one event loop, and worth nothing when the lease ends."""

    def __init__(self) -> None:
        self._shares: dict[AccountKey, _Share] = {}

    def lacking(self, needs: Mapping[AccountKey, int]) -> dict[AccountKey, int]:
        """What is missing for a call, by account; 0 for one that is not leased at all, though nothing is needed."""
        missing: dict[AccountKey, int] = {}
        for key, need in needs.items():
            share = self._shares.get(key)
            if share is None or share.is_stopped:
                missing[key] = need
            elif share.free < need:
                missing[key] = need - share.free
        return missing

    def reserve(self, needs: Mapping[AccountKey, int]) -> tuple[Part, ...] | None:
        """Set aside what a call needs in every account; None, and nothing, when one has too little."""
        if self.lacking(needs):
            return None
        parts: list[Part] = []
        for key, need in needs.items():
            share = self._shares[key]
            share.free -= need
            share.held += need
            share.used += need
            parts.append(Part(key, share.account, need))
        return tuple(parts)

    def add(self, key: AccountKey, *, account: int, amount: int) -> None:
        """Take a slice that the database has leased; a stopped account is open again, or it would not have."""
        share = self._shares.setdefault(key, _Share(account))
        share.free += amount
        share.is_stopped = False

    def settle(self, parts: Iterable[Part]) -> None:
        """A call's hold has left the lease."""
        for part in parts:
            self._share(part).held -= part.amount

    def release(self, parts: Iterable[Part]) -> None:
        """A call's hold is free again, and still in the lease."""
        for part in parts:
            share = self._share(part)
            share.held -= part.amount
            share.free += part.amount

    def stop(self, accounts: Iterable[int]) -> None:
        """Reserve nothing more from accounts that are paused; the database is asked instead."""
        stopped = set(accounts)
        for share in self._shares.values():
            share.is_stopped = share.is_stopped or share.account in stopped

    def accounts(self) -> dict[AccountKey, int]:
        """All of which it has something, with their ids."""
        return {key: share.account for key, share in self._shares.items()}

    def take_idle(self, *, keep_used: bool = True) -> dict[int, int]:
        """Take out what should go back, by account: all but as much as was used since the last time.

        Args:
            keep_used: False takes all that is free.
        """
        idle: dict[int, int] = {}
        for key, share in list(self._shares.items()):
            kept = min(share.used, share.free) if keep_used and not share.is_stopped else 0
            if share.free > kept:
                idle[share.account] = share.free - kept
            share.free, share.used = kept, 0
            if not share.free and not share.held:
                del self._shares[key]
        return idle

    def correct(self, leased: Mapping[int, int]) -> dict[int, int]:
        """Learn what the database has leased, by account, after an answer was lost; returns what should go back."""
        for share in self._shares.values():
            share.free = max(leased.get(share.account, 0) - share.held, 0)
        known = {share.account for share in self._shares.values()}
        return {account: amount for account, amount in leased.items() if account not in known}

    def _share(self, part: Part) -> _Share:
        """That of a hold; one that holds 0 may have been dropped meanwhile."""
        return self._shares.setdefault(part.key, _Share(part.account))
