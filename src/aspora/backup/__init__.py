"""A whole installation in one file and back: tables and artifacts, from one snapshot, checked by digest.

Knows tables and blobs, never what they mean: what must happen to rows after a restore is told by their owners.
"""
