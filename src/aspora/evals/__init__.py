"""Datasets and checks over skill results: golden cases, triggers. No server needed."""
