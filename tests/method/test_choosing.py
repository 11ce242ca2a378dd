"""Which of several wordings the denoiser understands, on the embedded model."""

import pytest
import torch

from diffinv.contracts import DiffTokens
from diffinv.method.choosing import choose_wordings
from diffinv.method.inversion import Pair, invert
from diffinv.method.settings import InversionSettings
from diffinv.method.words import Wording
from diffinv_diorama.backbone import load
from diffinv_diorama.clip import load_delta_encoder
from diffinv_diorama.render import render
from diffinv_diorama.world import Scene

PROMPT = "a church with a red roof on grass at noon"
RIGHT = "a windmill with red sails on grass at noon"
WRONG = (
    "a church with a windmill roof on grass at noon",
    "a church with a red roof on windmill at noon",
    "a church with a red roof sails on grass at noon windmill",
)


@pytest.fixture(scope="module")
def backbone():
    return load(None, "cpu")


@pytest.fixture(scope="module")
def tokens(backbone):
    """Learned from another church and windmill."""
    scene = Scene("church", "blue", "sunset", "sand", "sea", "none", "flag")
    a, a_prime = (render(scene.with_value("building", b), 3) for b in ("church", "windmill"))
    texts = "a church with a blue roof and a flag", "a windmill with blue sails and a flag"
    pair = Pair(a, a_prime, *texts, *texts)
    (found,) = invert(backbone, load_delta_encoder(None, "cpu"), [[pair]], InversionSettings())
    return DiffTokens(found.tokens[None], "additive")


@pytest.fixture(scope="module")
def picture():
    return render(Scene("church", "red", "day", "grass", "forest", "none", "none"), 5)


def wordings(*texts):
    return [Wording(text, 1.0, (0.5,)) for text in texts]


def chosen(backbone, picture, tokens, texts, strength=1.0):
    found = choose_wordings(backbone, [picture], [PROMPT], [(tokens, strength)], [wordings(*texts)])
    return found[0].prompt


@pytest.mark.parametrize("texts", [(RIGHT, *WRONG), (*WRONG, RIGHT)], ids=["first", "last"])
@pytest.mark.parametrize("strength", [0.25, 1.0, 1.5])
def test_the_words_that_do_what_the_tokens_do_are_chosen(
    backbone, picture, tokens, texts, strength
):
    assert chosen(backbone, picture, tokens, texts, strength) == RIGHT


def test_a_choice_does_not_depend_on_the_other_pictures(backbone, picture, tokens):
    other = render(Scene("church", "red", "night", "snow", "sea", "none", "none"), 6)
    both = DiffTokens(torch.cat([tokens.values, -tokens.values]), "additive")
    texts = wordings(*WRONG[:2], RIGHT)
    for rows in ([(both, 1.0)], [(tokens, 1.0)]):
        first, second = choose_wordings(
            backbone, [picture, other], [PROMPT] * 2, rows, [texts, wordings(PROMPT)]
        )
        assert first.prompt == RIGHT
        assert second.prompt == PROMPT


def test_no_difference_at_all_leaves_the_nearest(backbone, picture, tokens):
    assert chosen(backbone, picture, tokens, (WRONG[0], RIGHT), 0.0) == WRONG[0]
