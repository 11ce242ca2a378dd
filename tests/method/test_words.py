"""Words for a difference, on the embedded model: how it reads, and what it makes of prompts."""

import pytest
import torch
from torch.nn import functional as F

from diffinv.contracts import Conditioning, DiffTokens
from diffinv.errors import DiffinvError
from diffinv.method.answers import conditioning
from diffinv.method.application import extend_all
from diffinv.method.deltas import image_delta
from diffinv.method.words import Vocabulary, Wording, vocabulary_of
from diffinv_diorama.captions import caption
from diffinv_diorama.clip import load_delta_encoder
from diffinv_diorama.render import render
from diffinv_diorama.world import Scene, analogies

KNOWN = {
    ("sky", "none", "balloon"): {"balloon"},
    ("sky", "none", "moon"): {"moon"},
    ("ground", "grass", "snow"): {"snow", "snowy"},
    ("time", "day", "night"): {"night", "midnight", "stars", "after"},
    ("colour", "red", "blue"): {"blue"},
    ("detail", "none", "lit"): {"its", "lit", "glowing", "windows", "lights"},
}


@pytest.fixture(scope="module")
def encoder():
    return load_delta_encoder(None, "cpu")


@pytest.fixture(scope="module")
def vocabulary(encoder):
    return Vocabulary(encoder)


def delta(encoder, edit, seed=3):
    """The direction of an edit in the pictures' own space, a unit vector."""
    name, before, after = edit
    a = Scene("church", "red", "day", "grass", "forest", "none", "none").with_value(name, before)
    pictures = [render(a, seed)], [render(a.with_value(name, after), seed)]
    return F.normalize(image_delta(encoder, *pictures), dim=0)


@pytest.mark.parametrize("edit", KNOWN, ids=lambda edit: edit[2] if isinstance(edit, tuple) else "")
def test_a_difference_reads_like_what_it_brings(encoder, vocabulary, edit):
    direction = delta(encoder, edit)
    assert KNOWN[edit] & set(vocabulary.read(direction, 3).brings)
    assert KNOWN[edit] & set(vocabulary.read(-direction, 3).takes)


def test_words_that_contradict_a_difference_are_exchanged(encoder, vocabulary):
    direction = delta(encoder, ("colour", "red", "blue"))
    prompt = "on white snow, a red castle by the sea at night"
    new, share = vocabulary.reword(prompt, direction)[0]
    assert "blue" in new
    assert "red" not in new
    assert new.split()[:3] == ["on", "white", "snow,"]
    assert 0.7 < share <= 1
    back, _ = vocabulary.reword(new, -direction)[0]
    assert "red" in back
    assert "blue" not in back


def test_a_prompt_that_agrees_is_left_alone(encoder, vocabulary):
    direction = delta(encoder, ("sky", "none", "balloon"))
    text = "a red castle by the sea"
    assert vocabulary.reword(text, torch.zeros(128)) == [(text, 0.0)]
    assert vocabulary.wordings(text, [None]) == [Wording(text, 0.0, (0.0,))]
    assert [one.prompt for one in vocabulary.wordings(text, [direction, -direction])] == [text]


def test_the_nearest_prompts_come_first_and_none_twice(encoder, vocabulary):
    direction = delta(encoder, ("colour", "red", "blue"))
    start, *places = (
        F.normalize(encoder.encode_texts([text])[0], dim=0)
        for text in ["a red castle", *(t for t, _ in vocabulary.reword("a red castle", direction))]
    )
    wanted = F.normalize(start + 0.8 * direction, dim=0)
    cosines = [float(place @ wanted) for place in places]
    assert 2 <= len(places) <= 8
    assert min(cosines) > float(start @ wanted)
    # what adding a word costs may come between the two
    assert all(a > b - 0.025 for a, b in zip(cosines, cosines[1:], strict=False))
    assert len({text for text, _ in vocabulary.reword("a red castle", direction)}) == len(places)


def test_two_halves_are_one(encoder, vocabulary):
    direction = delta(encoder, ("ground", "grass", "snow"))
    text = "a castle on grass"
    whole, halves = (
        vocabulary.wordings(text, [direction]),
        vocabulary.wordings(text, [direction / 2] * 2),
    )
    assert [one.prompt for one in halves] == [one.prompt for one in whole]
    assert halves[0].amount == pytest.approx(whole[0].amount)
    assert vocabulary.wordings(text, [direction / 4])[0].amount == pytest.approx(0.25)


def test_an_encoder_without_words_has_no_vocabulary(encoder):
    class Silent:
        id = space = "silent"

    assert vocabulary_of(Silent()) is None
    Silent.vocabulary, Silent.reads_texts = ("red",), False
    assert vocabulary_of(Silent()) is None
    Silent.reads_texts = True
    for wrong in ("red", [3], [""], None):
        Silent.vocabulary = wrong
        with pytest.raises(
            DiffinvError, match="'silent' has .* vocabulary; 'diffinv plugins check"
        ):
            vocabulary_of(Silent())


class TestConditioning:
    """{prompt_B, D} with words that say a share of D."""

    tokens = DiffTokens(torch.ones(1, 1, 32), "additive")
    prompts, new = ("a red castle", "a mill"), ("a blue castle", "a mill")

    def states(self, backbone, texts):
        return conditioning(backbone, texts).prompt_embeds

    def extended(self, backbone, strength, share, amount=None):
        amount = min(1.0, abs(strength)) if amount is None else amount
        wordings = [Wording(text, amount, (share,)) for text in self.new]
        source = conditioning(backbone, self.prompts)
        return extend_all(backbone, source, self.prompts, [(self.tokens, strength)], wordings)

    @pytest.mark.parametrize("strength", [0.5, 1.0, 1.5, -1.0])
    def test_words_and_tokens_share_the_work(self, tiny_backbone, strength):
        old, new = (self.states(tiny_backbone, t) for t in (self.prompts, self.new))
        found = self.extended(tiny_backbone, strength, 0.75).prompt_embeds
        within = max(-1.0, min(1.0, strength))
        expected = old + min(1.0, abs(strength)) * (new - old)
        expected[:, 1:] += strength - 0.75 * within
        torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)

    def test_words_that_say_nothing_leave_it_to_the_tokens(self, tiny_backbone):
        source = conditioning(tiny_backbone, self.prompts)
        same = [Wording(text, 1.0, (0.0,)) for text in self.prompts]
        found = extend_all(tiny_backbone, source, self.prompts, [(self.tokens, 0.7)], same)
        plain = extend_all(tiny_backbone, source, self.prompts, [(self.tokens, 0.7)])
        torch.testing.assert_close(found.prompt_embeds, plain.prompt_embeds)

    def test_strength_zero_is_the_prompt_itself(self, tiny_backbone):
        found = self.extended(tiny_backbone, 0.0, 0.9).prompt_embeds
        assert torch.equal(found, self.states(tiny_backbone, self.prompts))

    def test_prompts_of_other_lengths_change_over_half_way(self):
        short, long = (Conditioning(torch.full((1, n, 2), float(n))) for n in (3, 5))
        assert short.moved(short, long, 0.4) is short
        assert short.moved(short, long, 0.6) is long


def test_captions_are_made_of_the_words(vocabulary):
    import numpy as np

    rng = np.random.default_rng(0)
    said = {w for x in analogies(100, 1) for w in caption(x.a, rng).replace(",", "").split()}
    assert said - set(vocabulary.words) <= {"a", "of", "picture", "drawing", "view"}
