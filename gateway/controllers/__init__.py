"""From a request to one service call and back: load with a schema, call, dump with a status."""
