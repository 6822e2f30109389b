"""Search that learns nothing."""
