"""What this plugin registers: three captioners, and a method that asks a server for pictures."""

from __future__ import annotations

from diffinv.contracts import CaptionerSpec, MethodSpec
from diffinv.hookspecs import hookimpl

BLIP2 = "Salesforce/blip2-opt-2.7b"
"""The usual weights of BLIP-2."""


@hookimpl
def register_captioners() -> list[CaptionerSpec]:
    """``blip2``, the paper's; ``vlm``, any transformers model; ``endpoint``, any server."""
    return [
        CaptionerSpec(
            id="blip2",
            title="BLIP-2",
            description=f"The paper's captioner ({BLIP2}, or blip2=FOLDER).",
            factory="diffinv_captioners.blip2:load",
            purpose="Describes photographs in a short sentence each.",
            licence="MIT",
            size_mb=14979,
            defaults={"model": BLIP2},
        ),
        CaptionerSpec(
            id="vlm",
            title="A vision-language model",
            description="vlm=FOLDER or vlm=HUB_ID: any image-text-to-text model in transformers"
            " (Qwen2-VL, Qwen2.5-VL, LLaVA-NeXT, InternVL and others).",
            purpose="Describes photographs with a vision-language model of your own.",
            factory="diffinv_captioners.vlm:load",
        ),
        CaptionerSpec(
            id="endpoint",
            title="A server",
            description="endpoint=http://HOST:PORT/v1#MODEL: any OpenAI-compatible server; its key,"
            " if it wants one, in the environment variable DIFFINV_ENDPOINT_KEY.",
            purpose="Lets a server describe the pictures, which are sent to it.",
            factory="diffinv_captioners.endpoint:load",
        ),
    ]


@hookimpl
def register_methods() -> list[MethodSpec]:
    """``words-server``: a model that nobody but its server has."""
    return [
        MethodSpec(
            id="words-server",
            title="Words to a server",
            description="A server changes B to what its caption says along the difference of A"
            " and A′.",
            factory="diffinv_captioners.words_server:WordsServer",
            network="a server and a model of it that edits pictures, http://HOST:PORT/v1#MODEL",
        )
    ]
