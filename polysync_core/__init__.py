"""The core that every trigger of function_app.py shares. Arrows go down only:

function_app            the triggers: decode, call, reply
answering               a use case's outcome -> an HTTP answer
services                the only wiring: Settings -> adapters, built on first use
starting, cancelling, reading, sweeping, delivering, checking    the use cases: gather, decide, apply
jobs, discovering       the use cases of jobs; fetching and keeping are their hands
reserving               a start's first half: the reservation and the key
looking, following, settling    what several use cases see of a run alike
upkeep                  what a sweep does beside its looks: starts without an answer, spoilt rows, old rows
adapters/               I/O: databricks, http_pool, entra, tables and the stores, callbacks, memory, clock
settings                the environment, validated
rules/                  pure: run_states, start_rules, sweep_rules, run_transitions, retry_rules, pipelines_api
                        of the wire: http_contract, start_contract, http_answers, run_document, addresses
                        of storage: run_entity, row_keys, columns
                        of callbacks: callback_addresses, callback_rules, callback_entity
                        of jobs: parameters, discovery_rules, job_contract, job_document, job_entity
                        openapi/: the OpenAPI document
model, callback_model, job_model, ids, errors    values and the error tree
"""
