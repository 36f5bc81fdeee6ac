"""One file a controller: compares spec with status and acts through the client."""
