"""The key as a process holds it: looked for again after a fault, so that putting it back heals without a restart."""

from collections.abc import Callable, Mapping

from aspora.meta.errors import StatusError, Unavailable
from aspora.sealing.check import KeyState
from aspora.sealing.cipher import SealBroken, SecretKey, seal, unseal


class Keyring:
    """Seals and opens the values of secrets.

    Args:
        state: As it was at the start.
        find: Looks for the key.
    """

    def __init__(self, state: KeyState, find: Callable[[], SecretKey | None]) -> None:
        self._state = state
        self._find = find

    def seal(self, values: Mapping[str, str], *, place: str) -> str:
        """The values, sealed for one place.

        Raises:
            Unavailable: There is no right key; says what would do.
        """
        return seal(self._key(), values, place=place)

    def holds(self, sealed: str, values: Mapping[str, str], *, place: str) -> bool:
        """Whether these very values are sealed there already.

        Raises:
            Unavailable: There is no right key; says what would do.
        """
        try:
            return unseal(self._key(), sealed, place=place) == values
        except SealBroken:
            return False

    def open(self, sealed: str, *, place: str) -> dict[str, str]:
        """The values, for a connector.

        Raises:
            Unavailable: There is no right key; says what would do.
            SealBroken: Damaged, or sealed for another place.
        """
        return unseal(self._key(), sealed, place=place)

    def state(self) -> KeyState:
        """How it stands with the key now."""
        if self._state.key is None and self._state.wanted_id:
            try:
                key = self._find()
            except StatusError:
                key = None
            if key is not None and key.key_id == self._state.wanted_id:
                self._state = KeyState(key, key.key_id)
        return self._state

    def _key(self) -> SecretKey:
        state = self.state()
        if state.key is None:
            raise Unavailable(state.message or "this Aspora has no secret key; start it with one")
        return state.key
