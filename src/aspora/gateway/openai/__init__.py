"""The door in OpenAI's form: `/v1`, for any client that speaks it, by virtual keys.

Reads requests, says who pays, and passes on what `aspora.models` and the serving door answer; knows no upstream.
"""
