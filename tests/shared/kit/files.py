"""Files of tests that are written again and again."""


def rewrite(path, content):
    """Write bytes as a new file: on ext4 a truncated file waits milliseconds for the disk."""
    path.unlink(missing_ok=True)
    path.write_bytes(content)
