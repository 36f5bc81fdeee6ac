"""The sections of a skill's settings: what `aspora.config.yaml` says, in wire form.

Each field's docstring is what `aspora explain` prints. Fields that nothing acts on yet are listed in `apis/skill.py`.
"""

from typing import Any, Literal

from pydantic import Field

from aspora.meta.objects import ApiModel

Language = Literal["python", "markdown", "typescript", "go"]
RoleName = Literal["manager", "specialist", "field"]

DEFAULT_MEMORY_BYTES = 512_000_000
DEFAULT_TIMEOUT_SECONDS = 30
MAX_TIMEOUT_SECONDS = 7 * 86_400
SHARE_BP = 10_000
_LIST_CAP = 200
_TEXT_CAP = 2_000


class SkillMd(ApiModel):
    """The front matter of SKILL.md. Source: the Agent Skills specification."""

    name: str = Field(min_length=1, max_length=256)
    """The name SKILL.md gives the skill; equal to the folder's unless it was imported leniently."""
    description: str = Field(min_length=1, max_length=16_384)
    """What the skill does and when to use it."""
    license: str | None = Field(default=None, max_length=_TEXT_CAP)
    """The licence's name, or the file that holds it."""
    compatibility: str | None = Field(default=None, max_length=_TEXT_CAP)
    """What the skill needs from its surroundings, in words."""
    metadata: dict[str, str] = Field(default_factory=dict[str, str])
    """Free keys of the author."""
    allowed_tools: list[str] = Field(default_factory=list[str], max_length=_LIST_CAP)
    """Tools that SKILL.md pre-approves for other agents; Aspora goes by `permissions.tools`."""


class Artifact(ApiModel):
    """The packed folder, in the artifact store."""

    digest: str = Field(pattern=r"^sha256:[0-9a-f]{64}$")
    """SHA-256 of the archive: the content's identity."""
    size_bytes: int = Field(ge=0)
    """Length of the archive."""
    file_count: int = Field(ge=1)
    """Files in it."""


class Runtime(ApiModel):
    """How the skill is run, and what one run may use."""

    language: Language = "markdown"
    """`markdown`: the agent loop over SKILL.md; else the language of the handler."""
    entry_point: str | None = Field(default=None, min_length=1, max_length=255)
    """The handler's path inside the folder, e.g. `code/handler.py`; absent for `markdown`."""
    timeout_seconds: int = Field(default=DEFAULT_TIMEOUT_SECONDS, ge=1, le=MAX_TIMEOUT_SECONDS)
    """Wall time of one execution; more than 30 makes it durable."""
    memory_bytes: int = Field(default=DEFAULT_MEMORY_BYTES, ge=32_000_000, le=64 * 2**30)
    """Memory of one handler run."""
    cpu_millis: int = Field(default=500, ge=10, le=64_000)
    """Thousandths of one processor for one handler run."""
    durable: bool = False
    """Make every execution durable: it survives the loss of its executor. It can raise the class, never lower it."""


class CostBudget(ApiModel):
    """Caps on money, in micro-USD."""

    max_per_execution_micro_usd: int = Field(default=1_000_000, ge=0, le=10**12)
    """The next model call of an execution does not go out when it could lift the cost above this."""
    monthly_limit_micro_usd: int | None = Field(default=None, ge=0, le=10**15)
    """Cap of the skill's spending in a calendar month (UTC)."""


class ModelChoice(ApiModel):
    """Which model answers, and how."""

    primary: str = Field(default="", max_length=63)
    """Name of a Model; empty: chosen by the ModelRouting `default`, which is claude-sonnet-4-5 as shipped."""
    fallback: str = Field(default="gpt-4o-mini", max_length=63)
    """Name of the Model that is tried when the primary fails; empty for none."""
    temperature_milli: int = Field(default=700, ge=0, le=2000)
    """Sampling temperature in thousandths."""
    max_output_tokens: int = Field(default=4096, ge=1, le=1_000_000)
    """Cap on the tokens of one answer."""
    cost_budget: CostBudget = Field(default_factory=CostBudget)
    """Caps on money."""


class Trigger(ApiModel):
    """One thing that starts the skill."""

    type: Literal["message", "alert", "cron", "command", "always"]
    """What kind of event starts it."""
    patterns: list[str] = Field(default_factory=list[str], max_length=_LIST_CAP)
    """For `message`: phrases that a user's message may hold."""
    source: str | None = Field(default=None, min_length=1, max_length=255)
    """For `alert`: where the alert comes from."""
    filter: str | None = Field(default=None, min_length=1, max_length=_TEXT_CAP)
    """For `alert`: which of the source's alerts, e.g. `severity=high,team=cards`."""
    schedule: str | None = Field(default=None, min_length=1, max_length=255)
    """For `cron`: five fields, UTC."""
    input: dict[str, Any] = Field(default_factory=dict[str, Any])
    """For `cron`: what the execution gets as metadata."""
    name: str | None = Field(default=None, min_length=1, max_length=63)
    """For `command`: the word after the slash."""


class Access(ApiModel):
    """One thing the skill may call."""

    name: str = Field(min_length=1, max_length=127)
    """Name of the connector."""
    access: Literal["read", "write"] = "write"
    """`read` keeps the skill to operations that change nothing."""


class Permissions(ApiModel):
    """What the skill may reach; everything else is refused."""

    tools: list[str] = Field(default_factory=lambda: ["read"], max_length=_LIST_CAP)
    """Host tools: `read` reads files of the skill's own folder."""
    apis: list[Access] = Field(default_factory=list[Access], max_length=_LIST_CAP)
    """API connectors."""
    secrets: list[str] = Field(default_factory=list[str], max_length=_LIST_CAP)
    """Secrets that a connector may use for this skill; the skill itself never sees them."""
    mcp: list[Access] = Field(default_factory=list[Access], max_length=_LIST_CAP)
    """MCP servers."""
    blocked_resources: list[str] = Field(default_factory=list[str], max_length=_LIST_CAP)
    """Files of its folder that it must never read, as patterns: `references/internal/*`."""


class Routing(ApiModel):
    """How requests that name no skill find this one."""

    discoverable: bool = True
    """Whether discovery may choose it."""
    keywords: list[str] = Field(default_factory=list[str], max_length=_LIST_CAP)
    """Words that speak for it."""
    examples: list[str] = Field(default_factory=list[str], max_length=_LIST_CAP)
    """Requests that it should get."""
    priority: int = Field(default=0, ge=-100, le=100)
    """Breaks ties; the higher wins."""


class Testing(ApiModel):
    """What its tests must show before a release."""

    required_suites: list[Literal["unit", "golden", "deepeval", "promptfoo", "triggers", "evals"]] = Field(
        default_factory=list[Literal["unit", "golden", "deepeval", "promptfoo", "triggers", "evals"]], max_length=6
    )
    """Suites that must have passed for the revision."""
    min_pass_rate_bp: int = Field(default=SHARE_BP, ge=0, le=SHARE_BP)
    """Share of the cases that must pass, in basis points."""
    max_regression_bp: int = Field(default=500, ge=0, le=SHARE_BP)
    """How much a metric may fall against the revision in production, in basis points."""
    repeats: int = Field(default=1, ge=1, le=100)
    """How often each case is run."""
    judge_model: str | None = Field(default=None, min_length=1, max_length=63)
    """Name of the Model that grades answers."""


class Versioning(ApiModel):
    """How revisions get their version and reach production."""

    strategy: Literal["semver", "timestamp"] = "timestamp"
    """`semver`: the author raises `version` with each change; `timestamp`: each new content is stamped."""
    rollback_on_error: bool = False
    """Go back to the previous revision when errors rise."""
    canary_share_bp: int = Field(default=0, ge=0, le=SHARE_BP)
    """Share of the traffic that a new revision gets first, in basis points; 0: all of it at once."""


class Thresholds(ApiModel):
    """Limits whose crossing raises an alert."""

    error_rate_bp: int | None = Field(default=None, ge=0, le=SHARE_BP)
    """Failed executions among all, in basis points."""
    latency_p95_ms: int | None = Field(default=None, ge=1)
    """95th percentile of the duration."""
    cost_per_execution_micro_usd: int | None = Field(default=None, ge=0)
    """Mean cost of an execution."""
    min_confidence_bp: int | None = Field(default=None, ge=0, le=SHARE_BP)
    """Mean confidence of the results, in basis points."""


class Monitoring(ApiModel):
    """What is watched, and who hears of it."""

    thresholds: Thresholds = Field(default_factory=Thresholds)
    """Limits."""
    alert_on_failure: bool = False
    """Alert at each failed execution."""
    channels: list[str] = Field(default_factory=list[str], max_length=_LIST_CAP)
    """Names of the Channels that alerts go to."""
