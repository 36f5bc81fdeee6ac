"""URLs of endpoints as people give them."""

from urllib.parse import urlsplit


def is_plain_http_url(text: str) -> bool:
    """Whether it is an `http(s)` URL with a host and no user, password, query or fragment."""
    try:
        parts = urlsplit(text)
        usable = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False
    return (
        usable
        and text.isprintable()
        and " " not in text
        and not (parts.username or parts.password or parts.query or parts.fragment)
    )
