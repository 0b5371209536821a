"""`make demo`: the app, Table Storage, a workspace and Entra ID on this machine, and a run from start to end.

callers  who calls, and what each one sends: a token of its role, or the function key
client   sends the callers' requests, and shows them as curl commands
stack    starts everything: Azurite, the workspace (simulated, or yours with DATABRICKS_HOST), the issuer of
         tokens, the app under local.host
screen   shows it: with colours and progress bars on a terminal, as plain lines elsewhere
story    the steps of the demo, which check what they show
"""
