"""What the help says about fields, for people who have not read the paper; its words are named as
:mod:`diffinv_tui.words` names them."""

from __future__ import annotations

from .words import say

_DEVICE = """Where the models compute: `cpu`, `cuda` for the first graphics card, `cuda:1` for the
second. Left empty, the best there is."""

_CAPTIONER = """The model that puts a picture into words. What it says of **{before}** and
**{after}** shows which change is meant; captions of your own, below, make it unnecessary."""

_NEW = {
    "name": "The name of the new difference in the library. Empty: made from the pictures' names.",
    "tags": "Words to find it by later, separated by spaces. They change nothing else.",
    "backbone": """The picture model that learns the difference and applies it later. A difference
works only with the {model} it was learned with.""",
    "captioner": _CAPTIONER,
    "delta_encoder": """The model that measures how the two pictures and their two captions
differ. That is the direction in which learning goes.""",
    "preset": """All settings at once. **Best measured** is quick and did best in our tests; **The
paper's** follows the paper to the letter and takes much longer.""",
    "steps": """How often the difference is improved. More steps take longer and follow the
pair more closely; too many learn its accidents, too.""",
    "lr": """How far each step goes. Too large and learning jumps about, too small and little is
learned in the steps there are.""",
    "tokens": """How many hidden words the difference may use. More can hold more detail, and
learn more by accident.""",
    "token_space": """How the hidden words join a prompt: **additive** shifts all of it a little,
**input** adds words before the text model reads it, **output** after. **words** are real ones,
which any model can be told.""",
    "alpha": """Whether words or pictures say what has changed: 1 trusts the captions alone, 0 the
pictures alone.""",
    "prompter": """What stands beside the difference while it is learned: **the captions**, or words
that **PEZ** searches for each picture, which takes longer.""",
    "seed": "Chance starts here: the same seed with the same settings gives the same difference.",
    "side": """The pictures are seen at about so many pixels squared while it is learned. Less than
the model's own takes less time and memory, and misses what is small; results are made at full size
all the same.""",
    "preview": "How finely the preview is made. 0 makes none.",
    "caption_a": "What the picture {before} shows, in a sentence, if no model is to describe it.",
    "caption_a_prime": "What the picture {after} shows, in a sentence. Say of both what differs.",
    "device": _DEVICE,
    "more": "Opens the settings that most people leave as they are.",
    "start": "Puts it into the queue; the marks above say what is missing.",
}

_APPLY = {
    "add-difference": "Adds a difference. Several are applied together, each as strongly as its "
    "slider says.",
    "add-folder": "Applies to every picture in a folder and in those below it.",
    "add-file": "Applies to one more picture.",
    "out": "Where the results go. Your pictures themselves are never changed.",
    "prompt_b": "What the pictures show, in a sentence. Empty: a model describes each of them.",
    "editor": """The way a picture is taken apart and made anew with the difference. They
differ in how well they keep what should stay.""",
    "captioner": "The model that says what each picture shows, so that it can be made anew.",
    "steps": "How finely a picture is made anew: more take longer and keep more detail.",
    "results": """How many results each picture gets, each with a seed of its own, after which they
are named.""",
    "size": """How large the results are. Empty: each as its picture. `model` gives what the model
itself makes, a number the pixels of the longer side.""",
    "detail": """A second pass over what has changed, at the picture's own size, so that it is as
sharp as the rest. Takes much longer; for models that know pictures of all kinds.""",
    "format": "The results' file format. Of formats that cannot be written, PNG is made.",
    "quality": "How well JPEG, WebP and AVIF keep what they show, from 1 to 100.",
    "strip": "Leaves out what the file says of the camera, the time and the place.",
    "provenance": "Each result says how it was made: `diffinv show` reads it, and so do others.",
    "mask_grow": """Lets the difference act so far beyond its own mask, in hundredths of the longer
side: what is new may be larger than what was there. 0 keeps to the mask.""",
    "mask_file": """A picture that is white where yours may change and black where not; or a folder
with one for each, under the same names.""",
    "save_masks": "Saves where each picture was changed, to be painted over and given as mask.",
    "reword": """Exchanges the words of each prompt that contradict the difference: "red" where it
makes things blue. Without it the tokens work against them.""",
    "negative_prompt": "What the results should be led away from, in words.",
    "batch": "How many pictures are made at once: more is faster, until the memory is full.",
    "guidance_scale": """How insistently the result follows prompt and difference. Higher changes
more and keeps less of the picture.""",
    "seed": "Chance starts here: the same seed gives the same result.",
    "mask": "Changes only where the difference has something to say; the rest stays as it is.",
    "replace": "Makes results that are there already anew, in place of the old ones.",
    "device": _DEVICE,
    "more": "Opens the settings that most people leave as they are.",
    "start": "Puts it into the queue; the marks above say what is missing.",
    "try": "Makes the picture that is shown, with the strengths as they are.",
    "sweep": "The picture that is shown at the strengths −1 to 2, side by side.",
    "view-one": "The picture that is tried, before and after.",
    "view-all": "All results, as they come.",
}

_SETTINGS = {
    "theme": "The colours of the app. The terminal's own themes are among them.",
    "view": "How the library shows its differences: as cards with pictures, or as a table.",
    "pictures": """How pictures are drawn: as finely as the terminal can, or out of blocks. Every
terminal has half blocks and nearly every one quadrants; sextants are as fine again, where its font
has them. Takes effect at the next start.""",
    "backbone": "The picture model that a new difference begins with.",
    "device": _DEVICE,
    "words": """What the app calls things: a photographer's words, or those of the paper and of the
command line, such as backbone, captioner, A and A′.""",
}

_LIBRARY = {
    "search": """Words in names, tags, captions and descriptions; all of them must fit.
`tag:winter` and `model:sdxl` look in one place only, `created:>2026-01` at the day, and
`is:duplicate` finds tokens that are there twice; a hyphen before any of them excludes.
**Enter** goes to what was found, **Escape** clears the search."""
}

_TEXTS = {"new": _NEW, "apply": _APPLY, "settings": _SETTINGS, "library": _LIBRARY}


def help_text(place: str, field: str) -> str:
    """The help for a field of a screen; empty where there is none."""
    return say(_TEXTS.get(place, {}).get(field, ""))
