import argparse
import io
from typing import Any

import pytest
import yaml

from aspora.cli.output import Output
from aspora.cli.printing import print_objects
from aspora.cli.targets import parse_target, split_name
from aspora.cli.trace import event_text, tree
from aspora.cli.verbs.apply import paths_of
from aspora.cli.verbs.get import since_time
from aspora.cli.verbs.rollback import choose

SKILLS = {"name": "skills", "scope": "Domain", "kind": "Skill", "singularName": "skill", "shortNames": []}
MODELS = {"name": "models", "scope": "Cluster", "kind": "Model", "singularName": "model", "shortNames": []}


def revision(name: str, version: str, order: int) -> dict[str, Any]:
    metadata = {"name": name, "creationTimestamp": f"2026-01-0{order}T00:00:00Z", "resourceVersion": str(order)}
    return {"metadata": metadata, "spec": {"version": version}}


REVISIONS = [revision("s-b", "1.1.0", 2), revision("s-a", "1.0.0", 1), revision("s-c", "1.2.0", 3)]


@pytest.mark.parametrize(
    ("current", "latest", "wanted", "expected"),
    [
        ("s-c", "s-c", "", "s-b"),
        ("s-b", "s-c", "", "s-a"),
        ("s-c", "s-c", "1.0.0", "s-a"),
        ("s-a", "s-c", "s-c", "s-c"),
        # The content went a, b, c and came back to b, then to a.
        ("s-b", "s-b", "", "s-c"),
        ("s-c", "s-b", "", "s-a"),
        ("s-a", "s-a", "", "s-c"),
    ],
)
def test_where_a_rollback_goes(current: str, latest: str, wanted: str, expected: str) -> None:
    assert choose(REVISIONS, current=current, latest=latest, wanted=wanted) == expected


@pytest.mark.parametrize(
    ("current", "wanted", "hint"), [("s-a", "", "oldest"), ("gone", "", "--to"), ("s-a", "9", "there are")]
)
def test_where_it_can_not_go(current: str, wanted: str, hint: str) -> None:
    with pytest.raises(ValueError, match=hint):
        choose(REVISIONS, current=current, latest="s-c", wanted=wanted)


def test_names_with_domains() -> None:
    assert split_name("wealth/x", domain="") == ("wealth", "x")
    assert split_name("x", domain="wealth") == ("wealth", "x")
    with pytest.raises(ValueError, match="leave one out"):
        split_name("wealth/x", domain="fraud")
    assert parse_target(SKILLS, "x", domain="", default_domain="").domain == "default"
    assert parse_target(SKILLS, "", domain="", default_domain="").domain == ""
    with pytest.raises(ValueError, match="whole cluster"):
        parse_target(MODELS, "wealth/x", domain="", default_domain="")


def test_since() -> None:
    assert since_time("2026-02-18T12:00:00Z") == "2026-02-18T12:00:00.000Z"
    assert since_time("1h").endswith("Z")
    with pytest.raises(ValueError, match="30m"):
        since_time("yesterday")


def test_a_trace_reads_as_a_tree() -> None:
    execution = {
        "metadata": {"name": "EXEC-1", "domain": "wealth", "creationTimestamp": "2026-01-01T00:00:00Z"},
        "spec": {"skill": "s", "revision": "s-a", "class": "inline"},
        "status": {"state": "Succeeded", "durationMs": 62.0, "costMicroUsd": 4200, "stages": {"process": 40.0}},
    }
    events = [
        {"at": "2026-01-01T00:00:00.003Z", "type": "Started", "attempt": 1, "data": {"node": "n1"}},
        {
            "at": "2026-01-01T00:00:00.020Z",
            "type": "Log",
            "attempt": 1,
            "data": {"level": "info", "message": "hi\x1b[2J"},
        },
        {"at": "2026-01-01T00:00:00.062Z", "type": "Finished", "attempt": 2, "data": {}},
    ]
    lines = tree(execution, events)
    assert "EXEC-1  wealth/s" in lines[0]
    assert "$0.0042" in lines[0]
    assert "+3.0 ms  Started  node=n1" in lines[2]
    assert "\x1b" not in "".join(lines)
    assert lines[-1].strip() == "stages: process 40 ms"
    assert [line for line in lines if "attempt 2" in line]


def test_what_a_handler_printed_stays_in_its_branch() -> None:
    said = {"type": "Output", "data": {"text": "one\ntwo\n"}}
    assert event_text(said) == "Output  text=one ⏎ two"
    assert event_text({"type": "Log", "data": {"level": "info", "message": "hi\n", "fields": {"a": "b\nc\n"}}}) == (
        "info  hi  a=b ⏎ c"
    )


@pytest.mark.parametrize("output", ["yaml", "json"])
def test_objects_begin_as_people_write_them_however_they_come(output: str) -> None:
    came = {"kind": "Skill", "spec": {}, "status": {}, "metadata": {"name": "x"}, "apiVersion": "v", "more": 1}
    order = ["apiVersion", "kind", "metadata", "spec", "status", "more"]
    for shown in (came, {"kind": "SkillList", "items": [came], "metadata": {}, "apiVersion": "v"}):
        out = Output(io.StringIO(), io.StringIO())
        print_objects(out, [shown], output=output, singular="skill", dump_yaml=yaml.safe_dump)
        printed = yaml.safe_load(out.stdout.getvalue())  # type: ignore[attr-defined]
        inner = printed["items"][0] if "items" in printed else printed
        assert list(inner) == order
        assert list(printed)[:3] == order[:3]


def test_model_calls_show_tokens_cost_and_time() -> None:
    data = {"alias": "small", "inputTokens": 10, "outputTokens": 5, "costMicroUsd": 12, "durationMs": 800}
    assert (
        event_text({"type": "ModelCall", "data": data})
        == "ModelCall  alias=small  10 tokens in, 5 out  $0.000012  800 ms"
    )


@pytest.mark.parametrize("text", ["99999999999d", "9999999d", "0001-01-01T00:00:00+14:00", "1" * 5000 + "d"])
def test_a_time_that_no_clock_can_show_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="--since") as refused:
        since_time(text)
    assert len(str(refused.value)) < 250


@pytest.mark.parametrize("name", ["", " ", "a/b/c", "/b", "a/"])
def test_what_is_no_name_never_means_everything(name: str) -> None:
    with pytest.raises(ValueError, match=r"empty|is no name"):
        split_name(name, domain="")


def test_an_empty_path_never_means_here() -> None:
    for words in ({"file": [""], "paths": []}, {"file": [], "paths": ["skills", ""]}):
        with pytest.raises(ValueError, match="empty"):
            paths_of(argparse.Namespace(**words))
