"""The doors to the outside: Databricks, Entra ID, Table Storage, the clock. No decision about runs is made here."""
