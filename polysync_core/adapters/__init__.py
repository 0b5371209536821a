"""All I/O of the app: Databricks, Entra ID, Table Storage, callbacks and the clock. No adapter decides about a run."""
