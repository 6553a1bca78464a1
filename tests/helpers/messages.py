"""What every error says."""

import re


def assert_message(error, argument, rule, value):
    text = str(error.value)
    # Keras puts a frame of its own around the message
    form = r"^(\x1b\[1m)?\w+: `[^`]+` must .+\. Received: .+=.*\."
    assert re.search(form, text, re.MULTILINE), text
    assert f"`{argument}` must " in text, text
    assert rule in text, text
    assert f"Received: {argument}={value}" in text, text
