"""Names and set-up of logs and metrics. Nothing here knows a kind, a skill or a database."""
