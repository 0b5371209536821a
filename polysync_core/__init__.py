"""The core that every trigger of function_app.py shares. Arrows go down only:

function_app            the triggers: decode, call, reply
answering               a use case's outcome -> an HTTP answer
services                the only wiring: Settings -> adapters, built on first use
starting, cancelling, reading, sweeping, delivering, checking    the use cases: gather, decide, apply
adapters/               I/O: databricks, entra, run_store, callback_store, callbacks, clock
settings                the environment, validated
rules/                  pure: run_states, start_rules, sweep_rules, pipelines_api, http_contract, run_document,
                        run_entity, row_keys, addresses, callback_addresses, callback_rules, callback_entity
model, callback_model, errors    values and the error tree
"""
