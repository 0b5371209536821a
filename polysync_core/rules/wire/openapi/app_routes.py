"""The routes of the app itself, and what each returns."""

from __future__ import annotations

from polysync_core.rules.wire.health_document import HealthDocument
from polysync_core.rules.wire.http_answers import AliveDocument
from polysync_core.rules.wire.openapi import examples
from polysync_core.rules.wire.openapi.operation import BODY_ERRORS, Answer, Body, Operation, ok
from polysync_core.rules.wire.rotation_contract import RotationBody, RotationDocument

APP_ROUTES = (
    Operation(
        name="rotate_await_key",
        method="POST",
        path="secrets/await/rotate",
        tag="app",
        summary="Make a new key for the await addresses",
        description="Await addresses that were given out before answer 404 after `keepOldForDays` days. Until then, "
        "each 202 of such an address holds a `Location` of the new key. Other instances of the app use the new key "
        "within a minute.",
        body=Body(
            model=RotationBody,
            examples={"in a week": {}, "an address has leaked": {"keepOldForDays": 0}},
        ),
        answers=(ok("There is a new key.", RotationDocument, rotated=examples.ROTATED),),
        errors=(*BODY_ERRORS, examples.TOO_MANY_AWAIT_KEYS, examples.TOO_BUSY, examples.STORAGE),
    ),
    Operation(
        name="alive",
        method="GET",
        path="alive",
        tag="app",
        summary="See whether the process serves",
        description="For a platform's health check: it looks at nothing else.",
        answers=(ok("It does.", AliveDocument, alive={"alive": True}),),
        is_anonymous=True,
        reports_bad_settings=True,
    ),
    Operation(
        name="health",
        method="GET",
        path="health",
        tag="app",
        summary="See whether everything that the app depends on answers",
        answers=(
            ok("It does.", HealthDocument, ok=examples.HEALTHY),
            Answer(
                status=503,
                description="It does not. While a setting is wrong, `settings` is the only check.",
                model=HealthDocument,
                examples={"failing": examples.FAILING, "wrong settings": examples.UNSET},
            ),
        ),
        is_anonymous=True,
        reports_bad_settings=True,
    ),
    Operation(
        name="openapi",
        method="GET",
        path="openapi.json",
        tag="app",
        summary="This document",
        description="Version 2.0 is for importers that read no newer one, such as custom connectors of Power Platform.",
        parameters=("version",),
        answers=(
            Answer(
                status=200,
                description="The document in the version that was asked for.",
                model=None,
                examples={"begins": {"openapi": "3.1.0"}, "begins in 2.0": {"swagger": "2.0"}},
            ),
        ),
        errors=(examples.WRONG_VERSION,),
        is_anonymous=True,
        reports_bad_settings=True,
    ),
)
