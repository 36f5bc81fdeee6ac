"""What a write asks of the objects around it; the store looks under the writers' lock, so nothing comes between."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Leadership:
    """Writes as this leader; refused as soon as another epoch has begun."""

    name: str
    epoch: int

    def __str__(self) -> str:
        return f"{self.name}/{self.epoch}"


@dataclass(frozen=True, slots=True)
class Needs:
    """Refuse unless this object is there and not being deleted; `domain` "" for a cluster-wide one."""

    kind: str
    domain: str
    name: str


@dataclass(frozen=True, slots=True)
class UnlessHeld:
    """Refuse while an object of that kind and domain holds this part: same keys and values, lists by any element."""

    kind: str
    domain: str
    part: Mapping[str, Any]


Surrounding = Needs | UnlessHeld
