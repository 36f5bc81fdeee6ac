"""PostgreSQL and nothing above it: embedded server, pool, named SQL, migrations, day partitions, LISTEN.

Here belongs what every table's owner needs and none of them owns. No table of another package, no Aspora object and no
settings may be known here; the one table of this package is `schema_migrations`. Other packages ship their own `.sql`
files and run them through `Queries`; only their migrations live here, because their order is one.
"""
