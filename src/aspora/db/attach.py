"""How to reach an embedded server that another Aspora runs: by files of its data directory, for who may read them."""

from pathlib import Path

from aspora.db.cluster import SUPERUSER, Cluster, load_credentials
from aspora.db.embedded import DATABASE, ROLE, server_url
from aspora.db.os_user import server_user
from aspora.db.socket_dir import Endpoint
from aspora.meta.errors import Unavailable

_PORT_LINE, _SOCKET_LINE, _ADDRESS_LINE = 3, 4, 5


def attached_dsn(data_dir: Path, *, uid: int, superuser: bool = False) -> str:
    """The URL of the server that runs over a data directory. Holds a password.

    Raises:
        Unavailable: None runs, or it is still starting.
        Conflict: Its passwords are gone.
        Forbidden: The folder belongs to another user.
    """
    cluster = Cluster(data_dir=data_dir, user=server_user(uid=uid))
    cluster.is_made()
    try:
        lines = (cluster.path / "postmaster.pid").read_text("utf-8").split("\n")
        folder, address = lines[_SOCKET_LINE].strip(), lines[_ADDRESS_LINE].strip()
        endpoint = Endpoint(host=folder or address, port=int(lines[_PORT_LINE]))
    except (OSError, IndexError, ValueError):
        raise Unavailable(f"no database runs over {str(data_dir)!r} yet; try again in a moment") from None
    credentials = load_credentials(cluster)
    if superuser:
        return server_url(endpoint, role=SUPERUSER, password=credentials.superuser, database="postgres")
    return server_url(endpoint, role=ROLE, password=credentials.application, database=DATABASE)
