import pytest

from aspora.meta.urls import is_plain_http_url


@pytest.mark.parametrize("text", ["http://127.0.0.1:8000/v1", "https://models.example.com/v1/", "http://[::1]:9"])
def test_endpoints(text: str) -> None:
    assert is_plain_http_url(text)


@pytest.mark.parametrize(
    "text",
    [
        "", "not-a-url", "ftp://h/v1", "http://", "http:///v1", "http://[pw/v1", "http://h:99999999", "http://h:0",
        "http://u@h/v1", "http://u:p@h/v1", "http://h/v1?key=p", "http://h/#p", "http://h h/v1", "http://h/\nv1",
    ],
)  # fmt: skip
def test_everything_else(text: str) -> None:
    assert not is_plain_http_url(text)
