"""The durable class on DBOS: workflow, journal, recovery. The only importer of dbos; nothing here knows skills."""
