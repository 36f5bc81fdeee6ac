"""What Aspora says when something is wrong: every text says what, which, and what would do, all in one form."""

import functools
import re
from collections.abc import Mapping

import pytest
from tools.messages import Message, collect, exceptions, modules, reaches

messages = functools.cache(collect)
"""Found when first asked for: it takes seconds, and every worker imports this."""


@functools.cache
def reasons() -> Mapping[str, str]:
    """Every exception and the reason that it has on the wire."""
    return exceptions(modules())


VALUE = re.compile(r"'?\{[^{}]*\}'?")
PROPER = re.compile(r"(PostgreSQL|Python|Aspora|TLS|API|ASPORA_\w+)\b")
"""What may begin a text in upper case."""

JARGON = re.compile(
    r"\b(None|NoneType|dict|tuple|str|PosixPath|errno|Errno|Traceback|pydantic|psycopg|asyncio|dataclass|callable|kwargs"
    r"|SELECT|INSERT INTO|UPDATE)\b|<class|__\w+__"
)
ONE_WORD_FOR_ONE_THING: Mapping[str, str] = {
    r"\bcannot\b": "can't",
    r"(?<!data )\bdirector(y|ies)\b": "folder",
    r"\bdoes not exist\b(?!, and the apply)(?!; name a skill)": "not found",
    r"\b(invalid|illegal|bad|malformed)\b": "what is wrong with it",
    r"\b(please|sorry|oops)\b(?! report)": "nothing",
    r"\b(failed to|unable to|could not be able)\b": "can't",
    r"\b(parameter|argument) is missing\b": "is required",
}
"""A word that no text has, and the one in its place."""

REMEDY = re.compile(
    r"; |: aspora |\bknown: |\{did_you_mean\}|\bmust\b|\bat most\b|\bwrite\b|\buse\b|\bsend\b|\bis required\b|: leave "
    r"|\bset (exactly )?\w+|\bcap of\b|^say |can't be changed|, or \w+$"
)
"""What a text has that says what would do, or what is allowed."""

PASSED_ON = re.compile(r"(: \{[^{}]*\}|\{(e|error|problem)\.message\})$")
"""Ends in another's text, or in the list of what is wrong, which says what would do."""

EVIDENT: Mapping[str, str] = {
    r"can't be (used|read): \{strerror\}": "the system's own reason: no permission, no such file",
    r"the system refuses": "the system's own reason",
    r"is not JSON: \{msg\} at line|is not (Python|YAML)|can't be compiled": "the place and what is wrong there",
    r"\{managers\} with another value": "the heading of the conflict says what would do",
    r"^the (handler's result|answer) has (a|no|data|not)\b|^the handler's result is not": "says the form it must have",
    r"was killed on request": "somebody asked for it",
    r"^node \{node\} is fenced": "goes to the log; the execution is another's by now",
    r"was lost: |has no capability|is not JSON$|\ba number too large": "goes to whoever writes a driver or the log",
    r"there is no artifact folder": "goes to whoever writes a driver",
    r"could not be (made|read): \{next\}|did not start \(log": "the advice and the log's last lines follow",
    r"\{qualified_name\} is not ready|\{warning\}|were left out": "a warning; nothing has to be done",
    r"no model endpoint is configured \{": "each alias is followed by what to set",
    r"a schema is an object or a boolean": "says the form it must have",
    r"month \{month\} has no day": "the calendar",
    r"--expires \{e\}, or": "says what else may be written",
}
"""Texts whose cause makes the remedy plain, or that are never met alone, and why."""

CLAUSES = {"UpstreamFault", "Malformed", "ErrorInBody"}
"""What one try of a model came to; the text around them all says what would do."""

RAW_TEXT_OF: Mapping[str, str] = {
    "ValueError": "Aspora's own readers of quantities, and the JSON reader, which names line and column",
    "_Unkeepable": "made there for it",
    "ChildFailed": "made for it",
    "(ExecutionFailed, Superseded)": "made for people",
}
"""Exceptions whose own text may go into another's as it is; others speak of classes, numbers and other software."""

NAMES_ITS_THING = re.compile(
    r"ASPORA_\w+|(^| )--\w|\b[A-Z]\w+(-[A-Z]\w+)+|\b(tools|permissions)\.\w+|(?<!\w)'[^'{}]+'|postgresql://"
)
"""A variable, an option, a header, a permission or a file, by its name."""

NAMELESS: Mapping[str, str] = {
    r"^this Aspora|^the (embedded|server|process|gateway is stopping|database)\b": "there is one of it",
    r"^too many writes": "they are of many callers",
    r"^(the API key is|this is not an API key|this needs an API key|no API key)": "a key is never shown",
    r"^the (sealed values|secret key)": "a secret is never shown; its object is in the message around it",
    r"^the body\b|^preconditions|^an apply must": "the request has one",
    r"^a list has no Description": "the request has one",
    r"^the (continue token|resourceVersion of these)": "opaque, and of no use to a person",
    r"^the (watch|stream)\b": "the connection has one",
    r"^a defect of Aspora's own": "the request's id stands beside it",
    r"^a text holds a character": "the database does not say which",
    r"^no (free execution id|database connection)": "the matter is that there is none",
    r"^(an artifact|archive: holds)": "it has nothing that could be named",
    r"^the (host|sandbox)": "there is one of it for each job",
    r"^the file holds several objects": "the editor's file, named just before",
    r"^(not ready; the log|the scripted model server|durable executions)": "there is one of it",
}
"""Texts without a value that still say which thing, and how."""


def form_problems(message: Message) -> list[str]:
    """What is wrong with a text's form."""
    text, found = message.text, []
    words = VALUE.sub("x", text)
    if re.match(r"[A-Z][a-z]", words) and not PROPER.match(words):
        found.append("begins in upper case")
    if text.endswith((".", "!")) and not text.endswith("status."):
        found.append("ends in a full stop")
    if re.search(r"[a-z]\. [A-Z]", words):
        found.append("has two sentences; join them by '; '")
    if "`" in text or '"' in words:
        found.append("quotes by other marks than '")
    if re.search(r"\{[^{}]*![rs]\}", text):
        found.append("a value is not put in; the f is missing")
    if text != text.strip() or "  " in text.partition("\n")[0]:
        found.append("has a blank too many")
    if jargon := JARGON.search(words):
        found.append(f"says {jargon.group()!r}, a word of the code")
    found += [
        f"say {good!r} in place of {wrong.group()!r}"
        for bad, good in ONE_WORD_FOR_ONE_THING.items()
        if (wrong := re.search(bad, words))
    ]
    if message.raised_from and message.raised_from not in RAW_TEXT_OF:
        found.append(f"hands on the text of {message.raised_from}")
    return found


def says_what_would_do(message: Message) -> bool:
    if message.kind in CLAUSES or reaches(message.kind, reasons()) == "a log":
        return True
    return bool(REMEDY.search(message.text) or PASSED_ON.search(message.text) or is_in(EVIDENT, message.text))


def says_which(message: Message) -> bool:
    return "{" in message.text or bool(NAMES_ITS_THING.search(message.text)) or is_in(NAMELESS, message.text)


def is_in(listed: Mapping[str, str], text: str) -> bool:
    return any(re.search(pattern, text) for pattern in listed)


def told(wrong: list[tuple[Message, object]]) -> str:
    return "\n".join(f"{m.path}: {m.text!r}: {problem}" for m, problem in wrong)


def test_the_set_is_whole() -> None:
    """The collector finds what stands in the code in its several ways."""
    texts = {m.text for m in messages()}
    assert len(texts) > 700
    assert "unknown verb '{verb}'; 'aspora --help' lists the verbs" in texts, "printed by the command line"
    assert any(m.kind == "FieldError" and m.at == "spec.traffic" for m in messages())
    assert "the handler wrote a line that is not JSON on the wire; leave standard output to the SDK" in texts, "relayed"
    assert any(m.text.startswith("node {node} is fenced from {execution}") for m in messages()), "made by its class"


def test_every_text_has_the_form() -> None:
    wrong: list[tuple[Message, object]] = [(m, problems) for m in messages() if (problems := form_problems(m))]
    assert not wrong, told(wrong)


def test_every_text_says_what_would_do() -> None:
    wrong: list[tuple[Message, object]] = [(m, "no remedy") for m in messages() if not says_what_would_do(m)]
    assert not wrong, told(wrong)


def test_every_error_of_the_api_says_which_thing() -> None:
    wrong: list[tuple[Message, object]] = [
        (m, "no name") for m in messages() if reasons().get(m.kind) and not says_which(m)
    ]
    assert not wrong, told(wrong)


def test_every_text_reaches_somebody() -> None:
    assert {m.kind for m in messages() if not reaches(m.kind, reasons())} == set()


@pytest.mark.parametrize("listed", [EVIDENT, NAMELESS], ids=["evident", "nameless"])
def test_the_lists_hold_nothing_that_is_gone(listed: Mapping[str, str]) -> None:
    unused = [pattern for pattern in listed if not any(re.search(pattern, m.text) for m in messages())]
    assert unused == []


def text(words: str, raised_from: str = "") -> Message:
    return Message("area", "Invalid", "", words, "file.py", raised_from)


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        ("Skill '{name}' is gone; apply it", "upper case"),
        ("the skill '{name}' is gone; apply it.", "full stop"),
        ("the skill is gone. Apply it", "two sentences"),
        ("the skill `{name}` is gone; apply it", "other marks"),
        ('the skill "{name}" is gone; apply it', "other marks"),
        ("the skill {name!r} is gone; apply it", "f is missing"),
        ("the  skill is gone; apply it", "a blank too many"),
        ("None is no name; write one", "a word of the code"),
        ("<class 'int'> is no name; write one", "a word of the code"),
        ("'{name}' cannot be written; free space", "can't"),
        ("directory '{path}' is in use; name another", "folder"),
        ("invalid name '{name}'; write another", "what is wrong"),
    ],
)
def test_a_wrong_form_is_seen(words: str, problem: str) -> None:
    assert [p for p in form_problems(text(words)) if problem in p]


def test_the_text_of_other_software_is_seen() -> None:
    assert form_problems(text("'{path}' can't be read: {e}; name another", "OSError"))
    assert not form_problems(text("'{path}' can't be read: {e}; name another"))


def test_a_text_without_remedy_or_name_is_seen() -> None:
    assert not says_what_would_do(text("the skill '{name}' is gone"))
    assert says_what_would_do(text("the skill '{name}' is gone; apply it again"))
    assert not says_which(text("the skill is gone; apply it again"))
    assert says_which(text("the skill '{name}' is gone; apply it again"))
