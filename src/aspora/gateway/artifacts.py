"""Artifacts over HTTP: upload by digest, download, ask. The bytes are checked before they are kept: they are those of
their digest, and an archive that `aspora.skills.archive` makes. So what a skill names can be unpacked.

A download is answered only for what a Skill or Revision of that domain refers to: knowing another domain's digest
opens nothing.
"""

import asyncio
import hashlib
import re
from dataclasses import dataclass, field

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute

from aspora.access.authorize import authorize, no_such_domain
from aspora.access.interface import ObjectReader, Wire
from aspora.artifacts.interface import ArtifactDamaged, ArtifactStore
from aspora.gateway.contract import Answer, Contract, ContractRoute
from aspora.gateway.http import MAX_ARTIFACT_BYTES, allow_body, caller_of, json_response, printable, query_of
from aspora.gateway.refusals import refusals
from aspora.meta.errors import BadRequest, FieldError, Invalid, NotFound
from aspora.skills.archive import read_archive

PLURAL = "artifacts"
TAR_TYPE = "application/x-tar"
CONCURRENT_UPLOADS = 4

_PUT = Contract(
    body="",
    body_type=TAR_TYPE,
    answers={201: Answer("It is kept.", "Uploaded")},
    schemas={
        "Uploaded": {
            "type": "object",
            "required": ["domain", "digest", "sizeBytes"],
            "properties": {
                "domain": {"type": "string"},
                "digest": {"type": "string"},
                "sizeBytes": {"type": "integer", "minimum": 0},
            },
        }
    },
)
_GET = Contract(answers={200: Answer("The archive.", "", TAR_TYPE)})

_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class ArtifactDoor:
    """The handlers."""

    store: ArtifactStore
    reader: ObjectReader
    slots: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(CONCURRENT_UPLOADS))

    async def put(self, request: Request) -> Response:
        """Upload an artifact (a canonical tar) under its own digest; twice is once."""
        query_of(request, ())
        domain, digest = await self._place(request, "create")
        allow_body(request.scope, MAX_ARTIFACT_BYTES)
        async with self.slots:
            body = await _read_checked(request, digest)
            await asyncio.to_thread(read_archive, body)
            await self.store.put(body)
        return json_response({"domain": domain, "digest": digest, "sizeBytes": len(body)}, status=201)

    async def get(self, request: Request) -> Response:
        """Download an artifact, or with HEAD ask whether it is there and sound."""
        query_of(request, ())
        domain, digest = await self._place(request, "get")
        absent = NotFound(f"no artifact {digest!r} in domain {domain!r}; upload it first: aspora apply -f FOLDER")
        if not await self._is_referenced(domain, digest) or not await self.store.exists(digest):
            raise absent
        try:
            data = await self.store.get(digest)
        except ArtifactDamaged:
            if request.method == "HEAD":
                raise absent from None  # Whoever asks uploads it anew, which mends it.
            raise
        body = b"" if request.method == "HEAD" else data
        return Response(body, headers={"ETag": f'"{digest}"'}, media_type=TAR_TYPE)

    async def _place(self, request: Request, verb: str) -> tuple[str, str]:
        domain, digest = request.path_params["domain"], request.path_params["digest"]
        if not _DIGEST.fullmatch(digest):
            raise BadRequest(f"{printable(digest)!r} is not a digest; write sha256: and 64 hex digits")
        authorize(caller_of(request), verb, PLURAL, domain)
        if await self.reader.get("Domain", domain) is None:
            raise no_such_domain(domain)
        return domain, digest

    async def _is_referenced(self, domain: str, digest: str) -> bool:
        for kind in ("Skill", "Revision"):
            for obj in await self.reader.list(kind, domain=domain):
                if _artifact_digest(obj) == digest:
                    return True
        return False


def _artifact_digest(obj: Wire) -> str | None:
    spec = obj["spec"].get("skillSpec", obj["spec"])
    return (spec.get("artifact") or {}).get("digest")


async def _read_checked(request: Request, digest: str) -> bytes:
    """The body, hashed as it comes."""
    hashed = hashlib.sha256()
    chunks: list[bytes] = []
    async for chunk in request.stream():
        hashed.update(chunk)
        chunks.append(chunk)
    found = f"sha256:{hashed.hexdigest()}"
    if found != digest:
        raise Invalid(
            f"the artifact's bytes are not those of its digest {digest!r}; send them again, or under their own digest",
            details=[
                FieldError("digest", f"the path says {digest}, the body is {found}; send the body under its own digest")
            ],
        )
    return b"".join(chunks)


def artifact_routes(door: ArtifactDoor) -> list[BaseRoute]:
    """The routes."""
    path = f"/api/v1/domains/{{domain}}/{PLURAL}/{{digest}}"
    routes = [ContractRoute(path, door.get, _GET), ContractRoute(path, door.put, _PUT, methods=["PUT"])]
    return [*routes, *refusals(routes)]
