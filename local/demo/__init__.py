"""`make demo`: the app, Table Storage and a workspace on this machine, and a run from start to end.

stack    starts everything: Azurite, the workspace (simulated, or yours with DATABRICKS_HOST), the app under local.host
screen   shows it: with colours and progress bars on a terminal, as plain lines elsewhere
story    the steps of the demo, which check what they show
"""
