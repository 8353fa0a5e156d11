"""Messages between processes: how they look (msgspec, msgpack) and how they travel (ZMQ)."""
