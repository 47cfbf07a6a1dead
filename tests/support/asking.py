"""Asks an application without a network, as a browser would: with its cookies and its page."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

import anyio
import httpx
from fastapi import FastAPI

from annotator.review.access import Access

HOST = "127.0.0.1:8765"


@dataclass
class Browser:
    """One browser: keeps cookies, follows nothing by itself."""

    app: FastAPI
    host: str = HOST
    address: str = "127.0.0.1"
    cookies: httpx.Cookies = field(default_factory=httpx.Cookies)

    def ask(self, method: str, path: str, **more: Any) -> httpx.Response:
        async def asking() -> httpx.Response:
            # An error of the application is an answer of 500, as it is to a browser.
            way = httpx.ASGITransport(self.app, False, client=(self.address, 50_000))
            base = f"http://{self.host}"
            known = self.cookies
            async with httpx.AsyncClient(transport=way, base_url=base, cookies=known) as client:
                answer = await client.request(method, path, **more)
                self.cookies = client.cookies
            return answer

        return anyio.run(asking)

    def get(self, path: str, **more: Any) -> httpx.Response:
        return self.ask("GET", path, **more)

    def come_in(self, access: Access) -> Browser:
        assert self.get("/", params={"token": access.token}).status_code == 303
        return self

    def csrf(self) -> str:
        found = re.search(r'name="csrf" content="([0-9a-f]+)"', self.get("/").text)
        assert found is not None
        return found[1]

    def post(self, path: str, body: Any = None, **more: Any) -> httpx.Response:
        """Send as the page does."""
        headers = {"X-Trephine": self.csrf(), "Origin": f"http://{self.host}"}
        return self.ask("POST", path, json={} if body is None else body, headers=headers, **more)
