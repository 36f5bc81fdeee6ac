"""What the demo asks a skill."""

import json
from pathlib import Path

from aspora.main.demo import cases_of

ASKED = {"id": "a", "input": {"user_message": "please"}, "expect": {"success": True}}
REFUSED = {"id": "b", "input": {"user_message": ""}, "expect": {"success": False}}


def test_what_a_skill_is_to_refuse_is_not_asked(tmp_path: Path) -> None:
    (tmp_path / "tests").mkdir()
    (tmp_path / "tests" / "golden.jsonl").write_text("\n".join(json.dumps(case) for case in (REFUSED, ASKED)))
    assert [case.question for case in cases_of("hr", tmp_path)] == ["please"]
