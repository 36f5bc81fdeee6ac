from aspora.meta.errors import BY_REASON, Conflict, FieldError, Internal, Invalid, StatusError, from_status


def test_every_error_survives_the_wire() -> None:
    for reason, cls in BY_REASON.items():
        status = cls("it broke", details=[FieldError("spec.x", "is required", "Required")]).to_status()
        assert status["reason"] == reason == cls.__name__
        back = from_status(status)
        assert type(back) is cls
        assert back.message == "it broke"
        assert back.details == (FieldError("spec.x", "is required", "Required"),)


def test_the_table_names_every_class() -> None:
    assert set(BY_REASON.values()) == set(StatusError.__subclasses__())


def test_an_unknown_reason_becomes_internal_with_its_message() -> None:
    back = from_status({"reason": "Gremlins", "message": "what happened"})
    assert type(back) is Internal
    assert back.message == "what happened"


def test_codes() -> None:
    assert (Invalid.code, Conflict.code) == (422, 409)
