"""Where a journal may lie. Looks, never writes: a place that cannot keep its promises is refused with advice."""

import os
import re
from pathlib import Path

from pairsim.errors import StoreError

MOUNTS = Path("/proc/self/mountinfo")  # Linux; elsewhere the kind of file system is unknown and the place is allowed

# SQLite's WAL shares memory between processes and trusts file locks and fsync: over a network none of the three holds
# (https://sqlite.org/wal.html, "does not work over a network filesystem"). 9p is also a Windows drive seen from WSL2.
_NETWORK = frozenset(
    [
        "nfs",
        "nfs4",
        "cifs",
        "smb3",
        "smbfs",
        "ncpfs",
        "afs",
        "9p",
        "ceph",
        "lustre",
        "gpfs",
        "beegfs",
        "glusterfs",
        "davfs",
    ]
    + ["fuse." + name for name in ("sshfs", "smbnetfs", "rclone", "s3fs", "gcsfuse", "goofys", "glusterfs", "ceph")]
    + ["fuse." + name for name in ("davfs2", "curlftpfs", "grpcfuse", "osxfs")]
)


def check_location(path: Path) -> Path:
    """The path with links resolved, so that two names of one store are one.

    Raises
    ------
    StoreError : the folder is missing or may not be written, the path is a folder, or it lies on a network file system.
    """
    resolved = Path(os.path.realpath(path.expanduser()))
    folder = resolved.parent
    if not folder.is_dir():
        raise StoreError(f"store {path}: the folder {folder} does not exist; create it or choose another path")
    if resolved.is_dir():
        raise StoreError(f"store {path} is a folder; give the path of a file in it, such as {path / 'run.db'}")
    if not os.access(folder, os.W_OK | os.X_OK):
        raise StoreError(f"store {path}: the folder {folder} may not be written by this user; choose another path")
    kind = file_system(resolved, _mounts())
    if kind in _NETWORK:
        raise StoreError(
            f"store {path} lies on a network file system ({kind}), where file locks and fsync cannot be trusted and a "
            f"journal can be damaged; put it on a local disk, such as {Path.home() / resolved.name}, "
            f"and copy it after the run"
        )
    return resolved


def rescue_advice(path: Path) -> str:
    """What to do about a damaged store: a clause for the end of a message."""
    command = f'python -m pairsim.store.rescue "{path}" "{path.with_suffix(".rescued.db")}"'
    return f"keep a copy, and save what can be read into a new store by: {command}"


def file_system(path: Path, mounts: str) -> str:
    """The type of the file system that holds ``path`` (absolute), from the text of a ``mountinfo``; "" when unknown."""
    best, kind = -1, ""
    for line in mounts.splitlines():
        fields, separator, described = line.partition(" - ")
        if not separator:
            continue
        # Spaces and the like in a mount point are written as \040 (proc(5)).
        point = Path(re.sub(r"\\([0-7]{3})", lambda octal: chr(int(octal[1], 8)), fields.split()[4]))
        # The longest mount point wins; of two at one place the later lies on top.
        if len(point.parts) >= best and path.is_relative_to(point):
            best, kind = len(point.parts), described.split()[0]
    return kind


def _mounts() -> str:
    try:
        return MOUNTS.read_text(errors="surrogateescape")
    except OSError:
        return ""
