"""The process driver passes the sandbox suite, cold and warm."""

import os
import shutil
import tempfile
from collections.abc import AsyncGenerator, Generator
from pathlib import Path

import pytest
import pytest_asyncio

from aspora.sandbox.process.driver import ProcessDriver
from aspora.testing.sandbox_suite import SandboxSubject, SandboxSuite


@pytest.fixture(scope="module")
def open_folder() -> Generator[Path]:
    """A folder that other users may pass through; pytest's own is closed to them."""
    folder = Path(tempfile.mkdtemp(prefix="aspora-sandbox-"))
    folder.chmod(0o711)
    yield folder
    shutil.rmtree(folder)


@pytest_asyncio.fixture(scope="module", loop_scope="module", params=[0, 2], ids=["cold", "warm"])
async def subject(open_folder: Path, request: pytest.FixtureRequest) -> AsyncGenerator[SandboxSubject]:
    """A driver with two slots."""
    driver = ProcessDriver(
        work_dir=open_folder / "work", runtime_dir=open_folder / "runtime", max_concurrency=2, warm=request.param
    )
    artifacts = open_folder / "artifacts"
    artifacts.mkdir(exist_ok=True)
    yield SandboxSubject(driver=driver, folder=artifacts, separates_jobs=os.geteuid() == 0)
    await driver.close()
    assert list((open_folder / "work").iterdir()) == []


@pytest.mark.asyncio(loop_scope="module")
class TestProcessDriver(SandboxSuite):
    """The suite over real processes."""
