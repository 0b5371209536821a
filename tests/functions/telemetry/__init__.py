"""What the telemetry tests need: receivers of OTLP and of Azure Monitor, and an app with OpenTelemetry set up.

collector      an OTLP/HTTP receiver on a loopback address
ingestion      Azure Monitor's ingestion endpoint on a loopback address
traced_host    `python -m`: local.host in a process where OpenTelemetry is set up as the Functions worker does it
"""
