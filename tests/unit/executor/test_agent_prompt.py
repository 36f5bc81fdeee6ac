"""The system prompt discloses names, not contents; answers become results without inventing anything."""

from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from aspora.executor.agent_prompt import result_of, system_prompt, user_prompt


class MemoryFiles:
    def __init__(self, files: Mapping[str, str]) -> None:
        self._files = files

    def paths(self) -> Sequence[str]:
        return sorted(self._files)

    def read(self, path: str) -> bytes:
        return self._files[path].encode()


def test_lists_files_with_their_first_heading_and_keeps_their_contents_out() -> None:
    files = MemoryFiles({"references/tone.md": "intro\n\n## Tone of voice ##\nsecret", "references/raw.csv": "a,b"})
    prompt = system_prompt(instructions="Do it.\n", guardrails="Never lie.", files=files, readable=files.paths())
    assert prompt.startswith("Do it.\n\n# Guardrails\n")
    assert "Never lie." in prompt
    assert "- references/tone.md: Tone of voice\n" in prompt + "\n"
    assert "- references/raw.csv\n" in prompt + "\n"
    assert "secret" not in prompt


def test_empty_sections_are_left_out() -> None:
    assert system_prompt(instructions=" Do it. ", guardrails=" ", files=MemoryFiles({}), readable=[]) == "Do it."


def test_metadata_follows_the_message() -> None:
    assert user_prompt(user_message="hi", metadata={}) == "hi"
    assert user_prompt(user_message="hi", metadata={"ticket": "T-1"}).endswith('\n{"ticket": "T-1"}')


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (" All good. ", {"success": True, "message": "All good.", "data": {}, "confidence": None}),
        ("[1, 2]", {"success": True, "message": "[1, 2]", "data": {}, "confidence": None}),
        ('{"x": NaN}', {"success": True, "message": '{"x": NaN}', "data": {}, "confidence": None}),
        ('{"x": 1}', {"success": True, "message": '{"x": 1}', "data": {"x": 1}, "confidence": None}),
        (
            '```json\n{"success": false, "message": "no", "data": {"a": 1}, "confidence": 0.4}\n```',
            {"success": False, "message": "no", "data": {"a": 1}, "confidence": 0.4},
        ),
        (
            '{"message": "m", "confidence": 7}',
            {
                "success": True,
                "message": '{"message": "m", "confidence": 7}',
                "data": {"message": "m", "confidence": 7},
                "confidence": None,
            },
        ),
    ],
)
def test_answers_become_results(text: str, expected: dict[str, Any]) -> None:
    assert result_of(text, truncated=False) == expected


def test_a_truncated_answer_says_so() -> None:
    assert result_of("half an", truncated=True)["data"] == {"truncated": True}
