"""`make demo`: the app, Table Storage and a workspace on this machine, and a run from start to end.

stack    what runs: Azurite, the workspace (simulated, or yours with DATABRICKS_HOST), the app under local.host
screen   what is shown: live on a terminal, plain lines elsewhere
story    the steps; each checks what it shows
"""
