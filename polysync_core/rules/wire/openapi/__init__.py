"""The OpenAPI document, imported by its first request only.

document     openapi_document: all of it
…_routes     the routes of runs, of jobs and of the app; operation is what they are made of
schemas      the schemas of bodies, from the models that check requests, and of answers, from their documents
examples     example values, made by the encoders of the real answers
"""
