"""Aspora: Kubernetes for AI skills. Packages are layered; ARCHITECTURE.md shows the map and import-linter holds it."""
