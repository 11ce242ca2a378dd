import pytest

from diffinv.errors import UsageError
from diffinv.method.settings import PRESETS, inversion_settings


def test_none_leaves_a_setting_as_the_preset_has_it():
    assert inversion_settings("paper", alpha=None, steps=7).alpha == PRESETS["paper"].alpha
    assert inversion_settings("paper", alpha=None, steps=7).steps == 7


@pytest.mark.parametrize(("space", "tokens"), [("additive", 1), ("input", 5), ("output", 5)])
def test_tokens_beside_the_prompt_are_five(space, tokens):
    assert inversion_settings(token_space=space).tokens == tokens
    assert inversion_settings(token_space=space, tokens=2).tokens == 2


def test_an_unknown_preset_is_named():
    with pytest.raises(UsageError, match="'best'"):
        inversion_settings("best")
