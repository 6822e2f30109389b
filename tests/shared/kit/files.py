"""Files of tests that are written again and again, and disks that are full."""

from contextlib import contextmanager

import pytest


def rewrite(path, content):
    """Write bytes as a new file: on ext4 a truncated file waits milliseconds for the disk."""
    path.unlink(missing_ok=True)
    path.write_bytes(content)


@contextmanager
def largest_file(num_bytes):
    """No file of this process grows beyond so many bytes, as if the disk were full then."""
    resource = pytest.importorskip("resource")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (num_bytes, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
