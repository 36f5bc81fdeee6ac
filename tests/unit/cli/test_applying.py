from dataclasses import replace
from typing import Any

import pytest

from aspora.cli.apply_all import apply_all
from aspora.cli.applying import (
    FIELD_CONFLICT,
    NEW_DOMAIN,
    Applied,
    Applier,
    Known,
    Wanted,
    intent,
    revision_text,
    unsaid,
)
from aspora.cli.wanted import problems_of
from aspora.meta.errors import Conflict, FieldError, Invalid, StatusError, Unavailable

DIGEST = "sha256:" + "a" * 64


def wanted(kind: str, name: str, *, domain: str = "", spec: Any = None, **more: Any) -> Wanted:
    metadata = {"name": name} | ({"domain": domain} if domain else {})
    return Wanted({"apiVersion": "aspora.dev/v1", "kind": kind, "metadata": metadata, "spec": spec or {}}, name, **more)


def skill(**spec: Any) -> Wanted:
    return wanted("Skill", "goal", domain="wealth", spec={"artifact": {"digest": DIGEST}, **spec}, artifact=b"tar")


def test_created_then_unchanged_then_configured(gateway: Any) -> None:
    applier = Applier(gateway)
    assert applier.apply(skill()).change == "created"
    again = applier.apply(skill())
    assert (again.change, again.before is not None) == ("unchanged", True)
    assert applier.apply(skill(role="field")).change == "configured"


def test_an_unchanged_object_is_not_warned_of_again(gateway: Any) -> None:
    odd = replace(skill(), warnings=("odd",))
    assert Applier(gateway).apply(odd).warnings == ("odd",)
    assert Applier(gateway).apply(odd).warnings == ()
    assert Applier(gateway, dry_run=True).apply(odd).warnings == ("odd",)


def test_an_artifact_is_sent_once(gateway: Any) -> None:
    applier = Applier(gateway)
    applier.apply(skill())
    applier.apply(skill())
    path = f"/api/v1/domains/wealth/artifacts/{DIGEST}"
    assert [m for m, p in gateway.calls if p == path] == ["HEAD", "PUT", "HEAD"]
    assert gateway.artifacts[DIGEST] == b"tar"


def test_what_production_does_not_serve_is_told_when_nothing_changed(gateway: Any) -> None:
    def point(*revisions: str) -> None:
        traffic = [{"revision": r, "shareBp": 10_000 // len(revisions)} for r in revisions]
        gateway.objects["/api/v1/domains/wealth/routes/goal.production"] = {"spec": {"traffic": traffic}}

    def warnings() -> list[str]:
        done: list[Applied] = []
        apply_all(
            Applier(gateway), [skill()], wait=True, on_written=lambda _: None, on_done=lambda _, o: done.append(o)
        )
        return list(done[0].warnings)

    Applier(gateway).apply(skill())
    gateway.objects["/api/v1/domains/wealth/skills/goal"]["status"] = {"observedGeneration": 1, "latestRevision": "g-2"}
    assert warnings() == []
    point("g-2")
    assert warnings() == []
    forward = "to go forward: aspora rollback wealth/goal --to g-2"
    point("g-1")
    assert warnings() == [f"production points at g-1 (rolled back), not at g-2; {forward}"]
    point("g-1", "g-2")
    assert warnings() == [f"production points at g-1 in part, not at g-2; {forward}"]


def test_what_the_loader_has_said_with_file_and_line_is_not_said_again() -> None:
    said = "aspora.config.yaml:2:10: permissions.tools: there is no tool 'reed'; did you mean 'read'?"
    news = "Inactive: spec.visibility: access goes by roles alone so far"
    again = "Inactive: spec.permissions.tools: there is no tool 'reed'; did you mean 'read'?"
    assert unsaid([again, news], said=[said]) == [news]


def test_a_dry_run_sends_and_stores_nothing(gateway: Any) -> None:
    applier = Applier(gateway, dry_run=True)
    assert applier.apply(skill()).change == "created"
    assert gateway.objects == {}
    assert gateway.artifacts == {}


def test_a_dry_run_into_a_domain_that_is_new_too(gateway: Any) -> None:
    def domain_must_exist(method: str, path: str) -> StatusError | None:
        return Invalid("no such domain") if method == "PATCH" and "/domains/hr/" in path else None

    gateway.fail = domain_must_exist
    applier = Applier(gateway, dry_run=True)
    applier.apply(wanted("Domain", "hr"))
    applied = applier.apply(wanted("Skill", "screen", domain="hr"))
    assert (applied.change, applied.warnings) == ("created", (NEW_DOMAIN,))


def test_what_must_only_exist_is_never_changed(gateway: Any) -> None:
    applier = Applier(gateway)
    applier.apply(wanted("Domain", "hr", spec={"ownerTeam": "people"}))
    applied = applier.apply(wanted("Domain", "hr", spec={}, if_absent=True))
    assert applied.change == "unchanged"
    assert gateway.objects["/api/v1/domains/hr"]["spec"] == {"ownerTeam": "people"}


def test_conflicts_are_tried_again_on_what_is_there_by_then(gateway: Any) -> None:
    pauses: list[float] = []
    applier = Applier(gateway, sleep=pauses.append)
    applier.apply(skill())
    conflicts = [Conflict("stale") for _ in range(5)]
    gateway.fail = lambda method, path: conflicts.pop() if method == "PATCH" and conflicts else None
    assert applier.apply(skill(role="field")).change == "configured"
    gateway.fail = lambda method, path: Conflict("stale") if method == "PATCH" else None
    assert pauses == sorted(pauses)
    assert len(pauses) == 5
    with pytest.raises(Conflict):
        applier.apply(skill(role="manager"))
    assert len(pauses) == 10


def test_a_field_of_another_manager_is_no_race_and_stops_at_once(gateway: Any) -> None:
    pauses: list[float] = []
    detail = FieldError("spec.role", "is set by 'aspora-edit'", FIELD_CONFLICT)
    gateway.fail = lambda method, path: Conflict("1 conflict", details=[detail]) if method == "PATCH" else None
    with pytest.raises(Conflict) as refused:
        Applier(gateway, sleep=pauses.append).apply(skill())
    assert pauses == []
    assert problems_of(refused.value) == [
        "spec.role: is set by 'aspora-edit'",
        "take these over with --force-conflicts, or leave them out of what you apply",
    ]


def test_what_the_server_owns_is_not_sent_back() -> None:
    exported = {
        "kind": "Model",
        "metadata": {"name": "m", "uid": "1", "managedFields": [{}], "labels": {"a": "b"}, "annotations": {}},
        "spec": {"tier": "small"},
        "status": {"conditions": []},
    }
    assert intent(exported) == {
        "kind": "Model",
        "metadata": {"name": "m", "labels": {"a": "b"}},
        "spec": {"tier": "small"},
    }


def test_a_manifest_that_names_a_version_is_held_to_it_where_the_object_is() -> None:
    exported = {"kind": "Model", "metadata": {"name": "m", "resourceVersion": "7", "uid": "1"}, "spec": {}}
    assert intent(exported, found=exported)["metadata"] == {"name": "m", "resourceVersion": "7"}
    assert intent(exported)["metadata"] == {"name": "m"}, "a copy can be made of it elsewhere"


def test_things_without_a_domain_go_where_they_are_told(gateway: Any) -> None:
    Applier(gateway, domain="team").apply(wanted("Skill", "s"))
    Applier(gateway, domain="team").apply(wanted("Model", "m"))
    assert sorted(gateway.objects) == ["/api/v1/domains/team/skills/s", "/api/v1/models/m"]


def test_one_refusal_does_not_stop_the_rest(gateway: Any) -> None:
    gateway.fail = lambda method, path: Invalid("no") if method == "PATCH" and path == "/api/v1/models/m" else None
    done: list[tuple[str, str]] = []
    written: list[str] = []
    apply_all(
        Applier(gateway),
        [wanted("Model", "m"), wanted("Domain", "d")],
        wait=False,
        on_written=lambda item: written.append(item.name),
        on_done=lambda item, outcome: done.append((item.name, getattr(outcome, "change", "refused"))),
    )
    assert done == [("m", "refused"), ("d", "created")]
    assert written == ["m", "d"]


def test_a_server_that_is_gone_stops_everything(gateway: Any) -> None:
    gateway.fail = lambda method, path: Unavailable("gone")
    with pytest.raises(Unavailable):
        apply_all(
            Applier(gateway),
            [wanted("Domain", "d")],
            wait=False,
            on_written=lambda item: None,
            on_done=lambda item, outcome: None,
        )


def test_waiting_ends_when_the_controller_has_seen_the_generation(gateway: Any) -> None:
    path = "/api/v1/domains/wealth/skills/goal"

    def controller(_seconds: float) -> None:
        gateway.objects[path]["status"] = {"observedGeneration": 1, "latestRevision": "goal-1"}

    applier = Applier(gateway, sleep=controller)
    done: list[Applied] = []
    apply_all(applier, [skill()], wait=True, on_written=lambda _: None, on_done=lambda _, outcome: done.append(outcome))
    assert revision_text(done[0]) == " (revision goal-1)"


def test_all_are_waited_for_together_and_each_is_told_when_the_time_is_up(gateway: Any) -> None:
    items = [replace(skill(), object={**skill().object, "metadata": {"name": n, "domain": "wealth"}}) for n in "abc"]
    done: list[tuple[str, str]] = []

    def controller(_seconds: float) -> None:
        gateway.objects["/api/v1/domains/wealth/skills/c"]["status"] = {"observedGeneration": 1}

    lost = apply_all(
        Applier(gateway, sleep=controller),
        items,
        wait=True,
        wait_seconds=0.05,
        on_written=lambda _: None,
        on_done=lambda item, outcome: done.append((item.name, type(outcome).__name__)),
    )
    assert lost is None
    assert done == [("c", "Applied"), ("a", "Timeout"), ("b", "Timeout")]


def test_what_was_done_before_the_server_was_lost_is_told_and_what_was_not(gateway: Any) -> None:
    done: list[str] = []
    gateway.fail = lambda method, path: Unavailable("gone") if path.endswith("/b") else None
    lost = apply_all(
        Applier(gateway),
        [wanted("Model", name) for name in "abcd"],
        wait=True,
        on_written=lambda _: None,
        on_done=lambda item, _: done.append(item.name),
    )
    assert lost is not None
    assert lost.item is not None
    assert (done, lost.item.name, [item.name for item in lost.untried]) == (["a"], "b", ["c", "d"])


def test_a_server_lost_while_controllers_are_waited_for_hides_nothing(gateway: Any) -> None:
    def lose(_seconds: float) -> None:
        gateway.fail = lambda method, path: Unavailable("gone")

    done: list[str] = []
    lost = apply_all(
        Applier(gateway, sleep=lose),
        [skill()],
        wait=True,
        on_written=lambda _: None,
        on_done=lambda _, outcome: done.append(type(outcome).__name__),
    )
    assert (done, lost is not None and lost.item) == (["Applied"], None)


def test_only_what_changed_is_applied_again() -> None:
    known = Known()
    first, second = wanted("Model", "a"), wanted("Model", "b")
    listed = [replace(item, source="list.yaml:1") for item in (first, second)]
    for item in listed:
        known.learn(item)
    assert known.fresh([replace(item, source="list.yaml:9") for item in listed]) == []
    changed = replace(listed[0], object={**listed[0].object, "spec": {"tier": "small"}})
    assert known.fresh([changed, listed[1]]) == [changed]
    assert [item.name for item in known.forget_gone([changed])] == ["b"]
    assert known.forget_gone([changed]) == []
    assert known.fresh([listed[1]]) == [listed[1]]


@pytest.mark.parametrize(
    ("before", "after", "change", "text"),
    [
        (None, "a", "created", " (revision a)"),
        ("a", "b", "configured", " (revision a → b)"),
        ("a", "a", "configured", ""),
        ("a", "a", "unchanged", " (revision a)"),
        ("a", "b", "unchanged", " (revision b)"),
        (None, None, "created", ""),
    ],
)
def test_how_revisions_are_told(before: str | None, after: str | None, change: Any, text: str) -> None:
    def obj(revision: str | None) -> Any:
        return {"status": {"latestRevision": revision}} if revision else {}

    assert revision_text(Applied(obj(after), change, obj(before))) == text
