"""The REST door to every kind: generic verbs, watch, forms, discovery. Alone among the doors it uses the store."""
