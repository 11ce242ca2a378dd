"""A difference learned with hard prompts gives B a hard prompt too."""

from __future__ import annotations

from dataclasses import replace

import pytest

from diffinv.jobs.requests import ApplyRequest, InvertRequest
from diffinv.jobs.tasks import run_application, run_inversion
from diffinv.method.settings import ApplicationSettings, inversion_settings
from diffinv.plugins.loading import registry
from diffinv.running import prompting
from diffinv.running.models import Models
from diffinv_diorama.clip import load_captioner, load_delta_encoder
from diffinv_diorama.render import render
from diffinv_diorama.weights import pipeline_folder
from diffinv_diorama.world import analogies


@pytest.fixture(scope="module")
def models():
    return Models()


@pytest.fixture
def encoder():
    """What the difference is learned with: the backbone's own."""
    return "diorama"


@pytest.fixture
def application(tmp_path, monkeypatch, models, encoder):
    """A difference learned with PEZ, and a request to apply it to two pictures, one by one."""
    monkeypatch.setattr("diffinv.method.prompts._PEZ_STEPS", 3)
    first, second = analogies(2, seed=0)
    shown = {"a": first.a, "a2": first.a_prime, "b": first.b, "c": second.b}
    paths = {name: tmp_path / f"{name}.png" for name in shown}
    for name, scene in shown.items():
        render(scene, first.seed_a).save(paths[name])
    settings = inversion_settings(prompter="pez", steps=2)
    pair = ((paths["a"], paths["a2"]),)
    run_inversion(
        InvertRequest(pairs=pair, name="d", settings=settings, device="cpu", delta_encoder=encoder),
        models=models,
    )
    return ApplyRequest(
        differences=(("d", 1.0),),
        images=(paths["b"], paths["c"]),
        out=tmp_path / "out",
        settings=ApplicationSettings(steps=2),
        device="cpu",
    )


@pytest.fixture
def prompts(monkeypatch):
    """The prompts of B that the method gets."""
    from diffinv.method import application as method

    seen: list[str] = []
    apply = method.change_pictures

    def record(backbone, images, prompts, *rest):
        seen.extend(prompts)
        return apply(backbone, images, prompts, *rest)

    monkeypatch.setattr(method, "change_pictures", record)
    return seen


def captions(request: ApplyRequest) -> list[str]:
    from diffinv.pictures.reading import open_image

    return load_captioner(None, "cpu").caption([open_image(path) for path in request.images])


def test_the_prompt_of_b_is_made_as_that_of_a(application, prompts, models):
    warnings = []
    run_application(application, lambda e: warnings.append(e.warning), models)
    assert [w for w in warnings if w] == []
    encoder = load_delta_encoder(None, "cpu")
    assert [len(encoder.ids_of(prompt)) for prompt in prompts] == [16, 16]
    assert prompts != captions(application)
    together = list(prompts)
    alone = replace(application, images=application.images[1:], out=application.out / "alone")
    run_application(alone, models=models)
    assert prompts[2:] == together[1:]


def test_what_the_user_says_of_b_counts_more(application, prompts, models):
    application.images[0].with_suffix(".txt").write_text("a cabin by a lake")
    run_application(application, models=models)
    assert prompts[0] == "a cabin by a lake" != prompts[1]
    said = replace(application, prompt_b="a castle", out=application.out / "said")
    run_application(said, models=models)
    assert prompts[2:] == ["a castle", "a castle"]


class TestWithWeightsOfTheUsers:
    @pytest.fixture
    def folder(self, tmp_path):
        (tmp_path / "clip").symlink_to(pipeline_folder())
        return tmp_path / "clip"

    @pytest.fixture
    def encoder(self, folder):
        return f"diorama={folder}"

    def test_the_prompts_of_b_are_made_with_the_same(self, application, prompts, folder):
        models, spec = Models(), registry().delta_encoders["diorama"]
        run_application(application, models=models)
        assert models.has(prompting.Part(spec, str(folder)), "cpu")
        assert not models.has(prompting.Part(spec), "cpu")

    def test_where_they_have_gone_b_gets_captions(self, application, prompts, models, folder):
        folder.unlink()
        warnings = []
        run_application(application, lambda e: warnings.append(e.warning), models)
        (warning,) = [w for w in warnings if w]
        assert f"captions: its weights {str(folder)!r} are no longer there" in warning
        assert prompts == captions(application)


@pytest.mark.parametrize("why", ["not installed", "another space"])
def test_without_the_encoder_b_gets_captions(application, prompts, monkeypatch, why, models):
    if why == "not installed":
        monkeypatch.delitem(registry().delta_encoders, "diorama")
    else:
        encoder = models.get(prompting.Part(registry().delta_encoders["diorama"]), "cpu")
        monkeypatch.setattr(encoder, "space", "elsewhere", raising=False)
    warnings = []
    run_application(application, lambda e: warnings.append(e.warning), models)
    (warning,) = [w for w in warnings if w]
    assert "made by PEZ with 'diorama'" in warning
    assert "those of B are captions" in warning
    assert prompts == captions(application)
