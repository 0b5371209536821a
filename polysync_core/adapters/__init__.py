"""All I/O: Databricks, Entra ID, Table Storage, callbacks, the clock. An adapter makes no decision about a run."""
