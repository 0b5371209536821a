"""The OpenAPI document, imported by its first request only.

document     openapi_document: all of it
routes       every route, from run_routes and job_routes; operation is what they are made of
schemas      the bodies' schemas, from the models that check requests, and the answers', from the models in answers
examples     example values, through the encoders of the real answers
"""
