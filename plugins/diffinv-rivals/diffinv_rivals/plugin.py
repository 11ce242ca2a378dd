"""What this plugin registers: methods of the paper's Table 1."""

from __future__ import annotations

from diffinv.contracts import MethodSpec
from diffinv.hookspecs import hookimpl


@hookimpl
def register_methods() -> list[MethodSpec]:
    """Each with its own paper's settings."""
    return [
        MethodSpec(
            id="sdedit",
            title="SDEdit (words)",
            factory="diffinv_rivals.sdedit:SDEditMethod",
            description="B under partial noise, denoised towards the words of B′.",
            settings={"strength": 0.7, "guidance_scale": 7.5, "steps": 50},
            needs=("instruction",),
        ),
        MethodSpec(
            id="instruct-pix2pix",
            title="InstructPix2Pix (words)",
            factory="diffinv_rivals.instruct_pix2pix:load",
            description="A network that sees B and follows the instruction.",
            settings={
                "steps": 100,
                "guidance_scale": 7.5,
                "image_guidance_scale": 1.5,
                "sampler": "euler-ancestral",
            },
            needs=("instruction",),
            network="a Stable Diffusion checkpoint with 8 input channels "
            "(timbrooks/instruct-pix2pix)",
            companion="instruct-pix2pix",
        ),
        MethodSpec(
            id="visii",
            title="VISII",
            factory="diffinv_rivals.visii:load",
            description="Learns an instruction from A and A′ for a network that sees B.",
            settings={
                "steps": 1000,
                "lr": 1e-3,
                "lambda_mse": 4.0,
                "lambda_clip": 0.1,
                "prompter": "pez",
                "sampling_steps": 20,
                "guidance_scale": 7.5,
                "image_guidance_scale": 1.5,
                "sampler": "euler-ancestral",
            },
            network="a Stable Diffusion checkpoint with 8 input channels "
            "(timbrooks/instruct-pix2pix)",
            companion="instruct-pix2pix",
        ),
        MethodSpec(
            id="analogist",
            title="Analogist",
            factory="diffinv_rivals.analogist:load",
            description="Fills the hole in a sheet of A, A′ and B, with cloned attention.",
            settings={
                "steps": 50,
                "guidance_scale": 15.0,
                "strength": 0.98,
                "cloning": 1.3,
                "first_layer": 3,
                "last_layer": 10,
                "cell": 256,
                "frame": 2,
                "suffix": ", best quality, extremely detailed",
                "negative_prompt": "messy, disordered, blurry, deformed, low quality",
            },
            network="a Stable Diffusion inpainting checkpoint with 9 input channels",
            companion="inpainting",
        ),
        MethodSpec(
            id="dia",
            title="DIA",
            factory="diffinv_rivals.dia:Dia",
            description="Adds what the conditionings of A and A′ differ by to that of B.",
            settings={
                "words": 10,
                "iterations": 10,
                "batch": 8,
                "lr": 0.01,
                "enough": 8e-4,
                "steps": 10,
                "noise_iterations": 10,
                "noise_lr": 0.1,
                "strength": 1.0,
                "guidance_scale": 5.0,
            },
        ),
    ]
