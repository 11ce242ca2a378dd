"""Raises what is not even an Exception."""


class OddError(BaseException):
    pass


raise OddError("not an Exception")
