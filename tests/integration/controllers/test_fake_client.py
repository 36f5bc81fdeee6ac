"""The fake client answers as the gateway does, operation by operation."""

from collections.abc import Mapping
from typing import Any

from aspora.client.api_client import ApiClient
from aspora.client.interface import Client
from aspora.meta.errors import StatusError
from aspora.testing.fake_client import FakeClient

DOMAIN = "side-by-side"


def role(**metadata: Any) -> dict[str, Any]:
    rules = [{"verbs": ["get"], "kinds": ["skills"], "names": []}]
    return {"kind": "Role", "metadata": {"name": "r", "domain": DOMAIN, **metadata}, "spec": _spec("one", rules)}


def _spec(text: str, rules: list[dict[str, Any]]) -> dict[str, Any]:
    return {"description": text, "rules": rules}


def plain(obj: Mapping[str, Any]) -> dict[str, Any]:
    varies = {"uid", "resourceVersion", "creationTimestamp", "managedFields"}
    metadata = {k: v for k, v in obj["metadata"].items() if k not in varies and v not in ([], {})}
    if "deletionTimestamp" in metadata:
        metadata["deletionTimestamp"] = "set"
    return {"metadata": metadata, "description": obj["spec"]["description"], "status": obj.get("status") or None}


async def story(client: Client) -> list[Any]:
    """Everything a reconciler may do, and what came of it."""
    told: list[Any] = []

    async def tell(what: Any) -> Any:
        try:
            answer = await what
        except StatusError as e:
            told.append(e.reason)
            return None
        told.append(plain(answer))
        return answer

    await client.create({"kind": "Domain", "metadata": {"name": DOMAIN}, "spec": {}})
    await tell(client.get("Role", "r", domain=DOMAIN))
    first = await tell(client.create(role(labels={"a": "b"}, finalizers=["ours"])))
    await tell(client.create(role()))
    same = await tell(client.update(first))
    told.append(same["metadata"]["resourceVersion"] == first["metadata"]["resourceVersion"])
    second = await tell(client.update({**first, "spec": {**first["spec"], "description": "two"}}))
    await tell(client.update({**first, "spec": {**first["spec"], "description": "three"}}))
    third = await tell(client.update({**second, "status": {"observedGeneration": 2, "conditions": []}}, status=True))
    await tell(client.update({**second, "status": {}}, status=True))
    fourth = await tell(client.update({**third, "metadata": {**third["metadata"], "labels": {}}, "status": None}))
    await tell(client.delete("Role", "r", domain=DOMAIN, uid="another"))
    await tell(client.delete("Role", "r", domain=DOMAIN, resource_version=third["metadata"]["resourceVersion"]))
    held = await tell(client.delete("Role", "r", domain=DOMAIN, uid=fourth["metadata"]["uid"]))
    await tell(client.delete("Role", "r", domain=DOMAIN, propagation="Foreground"))
    await tell(client.update({**held, "metadata": {**held["metadata"], "finalizers": []}}))
    await tell(client.get("Role", "r", domain=DOMAIN))
    for propagation in (None, "Foreground", "Orphan"):
        made = await tell(client.create(role()))
        version = made["metadata"]["resourceVersion"]
        await tell(client.delete("Role", "r", domain=DOMAIN, resource_version=version, propagation=propagation))
        told.append(len((await client.list("Role", domain=DOMAIN)).items))
        for left in (await client.list("Role", domain=DOMAIN)).items:
            await tell(client.update({**left, "metadata": {**left["metadata"], "finalizers": []}}))
    await tell(client.delete("Role", "r", domain=DOMAIN))
    return told


async def test_the_fake_tells_the_same_story(admin: ApiClient) -> None:
    assert await story(FakeClient()) == await story(admin)
