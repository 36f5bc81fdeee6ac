"""The command line: thin verbs over the HTTP API, light imports."""
