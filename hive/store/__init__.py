"""Where everything that hive promises is a row.

`hive.store.port` says what the rest of hive may ask; `hive.store.sqlite.open_store` opens the one
implementation there is.  The rule kept here: one writer, and nothing is told before it is committed.
"""
