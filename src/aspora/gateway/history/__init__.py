"""The door for what happened: events of objects, told and followed, and the audit, read. Changes no object."""
