from kit.tables import cache, converted, filled  # noqa: F401 - fixtures
