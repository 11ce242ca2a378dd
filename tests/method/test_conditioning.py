from dataclasses import replace

import pytest
import torch

from diffinv.contracts import POOLED, Conditioning, DiffTokens, concatenate

SPACES = ["additive", "input", "output"]


def tokens(space, seed=0, k=2):
    return DiffTokens(torch.randn(1, k, 32, generator=torch.Generator().manual_seed(seed)), space)


@pytest.fixture
def prompt(tiny_backbone):
    return tiny_backbone.encode_prompts(["a red castle in the snow", "a mill"])


@pytest.mark.parametrize("space", SPACES)
def test_strength_zero_equals_no_difference(prompt, space):
    assert prompt.extend(tokens(space), 0.0) is prompt


@pytest.mark.parametrize("space", ["additive", "output"])
def test_strength_is_a_factor(prompt, space):
    doubled = DiffTokens(2 * tokens(space).values, space)
    torch.testing.assert_close(
        prompt.extend(tokens(space), 2.0).prompt_embeds, prompt.extend(doubled, 1.0).prompt_embeds
    )


@pytest.mark.parametrize("space", SPACES)
def test_a_negative_strength_uses_the_negated_tokens(prompt, space):
    negative = prompt.extend(tokens(space), -0.7).prompt_embeds
    torch.testing.assert_close(negative, prompt.extend(-tokens(space), 0.7).prompt_embeds)
    assert not torch.equal(negative, prompt.extend(tokens(space), 0.7).prompt_embeds)


def test_additive_opposites_cancel_exactly_and_spare_the_start_token(prompt):
    once = prompt.extend(tokens("additive"))
    torch.testing.assert_close(once.prompt_embeds[:, 0], prompt.prompt_embeds[:, 0])
    back = once.extend(-tokens("additive"))
    torch.testing.assert_close(back.prompt_embeds, prompt.prompt_embeds, atol=1e-5, rtol=0)


def test_output_tokens_are_appended(prompt):
    longer = prompt.extend(tokens("output", k=5)).prompt_embeds
    assert longer.shape[1] == prompt.prompt_embeds.shape[1] + 5
    torch.testing.assert_close(longer[:, :-5], prompt.prompt_embeds)


def test_input_tokens_stand_behind_the_words(tiny_backbone):
    """The embeddings of real words, given as tokens, equal the prompt with those words."""
    ids = tiny_backbone.tokenizer.encode("blue mill", add_special_tokens=False)
    table = tiny_backbone.text_encoder.get_input_embeddings().weight
    words = DiffTokens(table[ids][None].detach(), "input")
    expected = tiny_backbone.encode_prompts(["a red castle blue mill"]).prompt_embeds
    actual = tiny_backbone.encode_prompts(["a red castle"]).extend(words).prompt_embeds
    assert float((actual - expected).abs().max()) == 0.0


def test_two_input_differences_stand_behind_each_other(tiny_backbone):
    prompt = tiny_backbone.encode_prompts(["a castle"])
    first, second = tokens("input", 1), tokens("input", 2)
    both = DiffTokens(torch.cat([first.values, second.values], dim=1), "input")
    torch.testing.assert_close(
        prompt.extend(first).extend(second).prompt_embeds, prompt.extend(both).prompt_embeds
    )


@pytest.mark.parametrize("space", SPACES)
def test_several_differences_at_once_keep_the_batch(prompt, space):
    combined = prompt.extend(tokens(space, 1), 0.5).extend(tokens(space, 2), -0.5)
    assert len(combined) == 2
    assert torch.isfinite(combined.prompt_embeds).all()


def test_a_backbone_without_input_space_refuses():
    with pytest.raises(ValueError, match="input-space"):
        Conditioning(torch.zeros(1, 4, 32)).extend(tokens("input"))


def ragged(*lengths):
    """One prompt for each length, filled up; a template's two tokens first, out of reach."""
    parts = []
    for length in lengths:
        mask = torch.ones(1, length, dtype=torch.bool)
        reach = mask.clone()
        reach[:, :2] = False
        embeds = torch.randn(1, length, 4, generator=torch.Generator().manual_seed(length))
        parts.append(Conditioning(embeds, mask=mask, reach=reach))
    return concatenate(*parts), parts


def test_prompts_of_different_lengths_are_filled_up():
    both, (short, long) = ragged(3, 5)
    assert both.prompt_embeds.shape == (2, 5, 4)
    assert both.mask.sum(1).tolist() == [3, 5]
    assert both.reach.sum(1).tolist() == [1, 3]
    assert torch.equal(both.prompt_embeds[:1, :3], short.prompt_embeds)
    assert torch.equal(both[1:].prompt_embeds, long.prompt_embeds)
    assert both.repeat(2).mask.shape == (4, 5)


def test_additive_tokens_reach_the_prompts_own_words_alone():
    both, _ = ragged(3, 5)
    moved = both.extend(DiffTokens(torch.ones(1, 1, 4), "additive"))
    changed = (moved.prompt_embeds - both.prompt_embeds).abs().sum(-1) > 0
    assert torch.equal(changed, both.reach)
    back = moved.extend(DiffTokens(torch.ones(1, 1, 4), "additive"), -1.0)
    torch.testing.assert_close(back.prompt_embeds, both.prompt_embeds)


def test_output_tokens_are_attended_to_behind_the_filling():
    both, _ = ragged(3, 5)
    longer = both.extend(DiffTokens(torch.ones(1, 2, 4), "output"))
    assert longer.mask.tolist()[0] == [True] * 3 + [False] * 2 + [True] * 2
    assert longer.reach.sum(1).tolist() == [1, 3]


def test_without_masks_lengths_must_agree():
    one, other = (Conditioning(torch.zeros(1, n, 4)) for n in (3, 5))
    with pytest.raises(RuntimeError):
        concatenate(one, other)


def test_words_of_other_lengths_take_the_place_of_the_prompt():
    both, (short, long) = ragged(3, 5)
    longer = concatenate(long, long)
    assert both.moved(both, longer, 1.0) is longer
    assert both.moved(both, longer, 0.3) is both
    halfway = long.moved(long, Conditioning(long.prompt_embeds + 2, mask=long.mask), 0.5)
    torch.testing.assert_close(halfway.prompt_embeds, long.prompt_embeds + 1)


def test_a_pooled_embedding_moves_by_strength_and_sign():
    prompt = Conditioning(torch.zeros(2, 5, 32), {POOLED: torch.ones(2, 3)})
    moves = replace(tokens("additive"), pooled=torch.tensor([[1.0, 2.0, 4.0]]))
    assert prompt.extend(moves, 0.5).extra[POOLED].tolist() == [[1.5, 2, 3]] * 2
    assert prompt.extend(-moves).extra[POOLED].tolist() == [[0, -1, -3]] * 2
    both = prompt.extend(moves).extend(replace(moves, space="output"), -0.5)
    assert both.extra[POOLED].tolist() == [[1.5, 2, 3]] * 2
    each = moves[torch.tensor([0, 0])].scaled(torch.tensor([1.0, 0.0]))
    assert prompt.extend(each).extra[POOLED].tolist() == [[2, 3, 5], [1, 1, 1]]
    assert prompt.extend(tokens("additive")).extra[POOLED] is prompt.extra[POOLED]
    with pytest.raises(ValueError, match="no pooled embedding"):
        replace(prompt, extra={}).extend(moves)
