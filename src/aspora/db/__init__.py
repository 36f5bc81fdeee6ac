"""PostgreSQL: embedded server, pool, migrations, named SQL, LISTEN. Knows no table of anybody."""
