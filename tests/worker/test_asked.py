"""What a request for images becomes for the engine."""

from modelops.gateway.jobapi.asked import asked

GENERATE = "/v1/images/generations"


def test_pictures_to_follow_and_to_look_like_reach_the_engine() -> None:
    """The pictures are files of the job, and what is said of them its input."""
    said = asked(
        GENERATE,
        {
            "prompt": "a fox",
            "control_url": "https://example.com/edges.png",
            "control_net": "canny",
            "control_scale": 0.5,
            "reference_scale": 0.4,
        },
        {"reference": "a digest"},
    )
    assert said.urls == {"control": "https://example.com/edges.png"}
    assert said.input == {
        "prompt": "a fox",
        "n": 1,
        "controlNet": "canny",
        "controlScale": 0.5,
        "referenceScale": 0.4,
    }
    assert said.digests == {"reference": "a digest"}


def test_what_is_not_said_the_engine_decides() -> None:
    """A prompt alone is a prompt alone."""
    assert asked(GENERATE, {"prompt": "a fox"}, {}).input == {"prompt": "a fox", "n": 1}
