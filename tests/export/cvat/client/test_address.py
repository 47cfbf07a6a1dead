"""Addresses of CVAT servers: one form for what people write, and what is refused."""

from __future__ import annotations

import pytest

from annotator.core.errors import CvatError
from export.cvat.client.address import checked_address

GIVEN = {
    "https://cvat.example.org": "https://cvat.example.org",
    "  https://cvat.example.org/  ": "https://cvat.example.org",
    "https://cvat.example.org:443": "https://cvat.example.org",
    "https://cvat.example.org:8443/api": "https://cvat.example.org:8443",
    "HTTPS://CVAT.Example.Org/tasks/5?page=1#x": "https://cvat.example.org",
    "https://example.org/cvat/projects/3": "https://example.org/cvat",
    "cvat.example.org": "https://cvat.example.org",
    "localhost:8080": "http://localhost:8080",
    "http://localhost:80/auth/login": "http://localhost",
    "127.0.0.1:8080": "http://127.0.0.1:8080",
    "http://127.8.9.1": "http://127.8.9.1",
    "http://[::1]:8080/": "http://[::1]:8080",
    "https://[2001:db8::1]/api/": "https://[2001:db8::1]",
}


@pytest.mark.parametrize(("given", "form"), GIVEN.items())
def test_addresses_get_one_form(given: str, form: str) -> None:
    assert checked_address(given) == form
    assert checked_address(form) == form


@pytest.mark.parametrize(
    "given",
    [
        "http://cvat.example.org",
        "http://10.0.0.5:8080",
        "http://127.0.0.1.example.org",
        "http://localhost.example.org",
        "http://0.0.0.0:8080",
        "http://[2001:db8::1]",
    ],
)
def test_another_machine_needs_encryption_or_leave(given: str) -> None:
    with pytest.raises(CvatError, match="allow_http"):
        checked_address(given)
    assert checked_address(given, allow_http=True) == given


@pytest.mark.parametrize(
    "given", ["https://eva:geheim@cvat.example.org", "eva:geheim@localhost", "http://eva@localhost"]
)
def test_user_and_password_in_an_address_are_refused_and_not_repeated(given: str) -> None:
    with pytest.raises(CvatError) as caught:
        checked_address(given)
    assert "geheim" not in str(caught.value)
    assert caught.value.__cause__ is None


@pytest.mark.parametrize(
    "given",
    [
        "",
        "https://",
        "ftp://cvat.example.org",
        "file:///etc/passwd",
        "https://cvat example.org",
        "https://cvat.example.org\r\nX: y",
        "https://cvat.example.org:port",
        "https://cvat.example.org:99999",
        "https://[::1",
        "http://localhost:0",
    ],
)
def test_what_is_no_address_is_refused(given: str) -> None:
    with pytest.raises(CvatError):
        checked_address(given)
