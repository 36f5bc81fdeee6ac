"""The object model: one file a kind (data, validation, columns, describe). No I/O and no behaviour."""
