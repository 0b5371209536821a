"""The OpenAPI document. Its first request imports this package.

document         openapi_document, which returns the whole document in OpenAPI 3.1
swagger          swagger_document, which returns the same document in OpenAPI 2.0
swagger_schemas  its schemas
…_routes         the routes of runs, of jobs and of the app
operation        the dataclasses that describe a route
schemas          the schemas of request bodies (from the models that check them) and of responses (from their documents)
examples         example values, made by the encoders of real responses
"""
