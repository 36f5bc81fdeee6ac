"""Changes of a list as they come, over streams that end and connections that break."""

import math
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from aspora.cli.rest import Rest
from aspora.kit.backoff import Backoff
from aspora.meta.errors import Unavailable, from_status

IDLE_SECONDS = 150.0
"""A watch says something at least each minute; one that has been silent for longer is dead."""

MAX_TRIES = 8
_BACKOFF = Backoff(base_seconds=0.2, max_seconds=5)


def changes(
    rest: Rest,
    path: str,
    *,
    query: Mapping[str, Any],
    since: str,
    accept: str = "",
    tell: Callable[[str], None],
    sleep: Callable[[float], None] = time.sleep,
    left_seconds: Callable[[], float] | None = None,
) -> Iterator[dict[str, Any]]:
    """Every change after the resource version `since`, once each; goes on until the caller stops asking.

    Args:
        query: The selectors of the list.
        accept: The form of the objects; "" for plain ones.
        tell: Hears that the connection is gone and tried again.
        left_seconds: Asked before each connection; when nothing is left the changes end. None for as long as it takes.

    Raises:
        Expired: The history after the last change is gone: list again.
        Unavailable: The server stayed away.
    """
    tries = 0
    while True:
        asked = {**query, "watch": "true", "resourceVersion": since}
        if left_seconds is not None:
            if left_seconds() <= 0:
                return
            asked["timeoutSeconds"] = min(3600, math.ceil(left_seconds()))
        headers = {"Accept": accept} if accept else None
        try:
            for event in rest.stream(path, query=asked, headers=headers, idle_seconds=IDLE_SECONDS):
                if event["type"] == "ERROR":
                    raise from_status(event["object"])
                since, tries = event["object"]["metadata"]["resourceVersion"], 0
                if event["type"] != "BOOKMARK":
                    yield event
        except Unavailable as e:
            tries += 1
            if tries >= MAX_TRIES:
                raise
            if tries == 1:
                tell(f"{e.message}; trying again")
        sleep(_BACKOFF.delay_seconds(tries))
