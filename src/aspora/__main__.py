"""`python -m aspora` is the `aspora` command."""

from aspora.main.entry import main

main()
