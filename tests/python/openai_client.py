"""Uses Holdfast as any program does that was written for OpenAI: with the `openai` package and nothing else.

Address and token come from OPENAI_BASE_URL and OPENAI_API_KEY. Prints `ok <check>` for each check that passed.
"""

import os
import sys

import openai
from openai import OpenAI

QUESTION = os.environ["QUESTION"]
ANSWER = os.environ["ANSWER"]
MESSAGES = [{"role": "user", "content": QUESTION}]

client = OpenAI(max_retries=0, timeout=60)


def models():
    names = [model.id for model in client.models.list()]
    assert "guide" in names, names
    assert client.models.retrieve("guide").owned_by == "holdfast"


def chat():
    answer = client.chat.completions.create(model="guide", messages=MESSAGES, temperature=0)
    assert answer.choices[0].message.content.strip() == ANSWER, answer
    assert answer.choices[0].finish_reason == "stop", answer
    assert answer.usage.completion_tokens > 0, answer
    short = client.chat.completions.create(model="guide", messages=MESSAGES, temperature=0, max_tokens=3)
    assert short.choices[0].finish_reason == "length", short
    assert short.usage.completion_tokens == 3, short
    several = client.chat.completions.create(model="guide", messages=MESSAGES, max_tokens=5, n=2, seed=7, temperature=0.5)
    assert [choice.index for choice in several.choices] == [0, 1], several
    word = ANSWER.split()[2]
    stopped = client.chat.completions.create(model="guide", messages=MESSAGES, temperature=0, stop=[word])
    assert word not in stopped.choices[0].message.content, stopped


def chat_streamed():
    stream = client.chat.completions.create(
        model="guide", messages=MESSAGES, temperature=0, stream=True, stream_options={"include_usage": True}
    )
    text, ends, usage, pieces = "", [], None, 0
    for chunk in stream:
        usage = chunk.usage or usage
        for choice in chunk.choices:
            pieces += 1
            text += choice.delta.content or ""
            if choice.finish_reason:
                ends.append(choice.finish_reason)
    assert text.strip() == ANSWER, text
    assert ends == ["stop"] and usage.total_tokens > 0 and pieces >= 4, (ends, usage, pieces)


def completions():
    answer = client.completions.create(model="guide", prompt="Holdfast", max_tokens=4, temperature=0)
    text = answer.choices[0].text
    assert answer.usage.completion_tokens == 4, answer
    pieces = client.completions.create(model="guide", prompt="Holdfast", max_tokens=4, temperature=0, stream=True)
    assert "".join(piece.choices[0].text for piece in pieces) == text


def embeddings():
    # The package asks for base64 by itself and decodes it.
    answer = client.embeddings.create(model="guide", input=["one text", "another text", "one text"])
    one, other, again = (item.embedding for item in answer.data)
    assert len(one) == len(other) > 16
    assert abs(sum(number * number for number in one) - 1) < 1e-3
    distance = lambda left, right: sum((a - b) ** 2 for a, b in zip(left, right))
    assert distance(one, again) < 1e-6 < distance(one, other)
    plain = client.embeddings.create(model="guide", input="one text", encoding_format="float")
    assert distance(plain.data[0].embedding, one) < 1e-6


def errors():
    def expect(kind, code, call):
        try:
            call()
        except kind as error:
            assert error.code == code, (error.code, error)
            assert str(error.body["message"]), error
        else:
            raise AssertionError(f"no {kind.__name__}")

    ask = client.chat.completions.create
    expect(openai.NotFoundError, "model_not_found", lambda: ask(model="nobody", messages=MESSAGES))
    expect(openai.BadRequestError, None, lambda: ask(model="guide", messages=MESSAGES, temperature=9))
    expect(
        openai.BadRequestError,
        "unsupported_parameter",
        lambda: ask(model="guide", messages=MESSAGES, tools=[{"type": "function", "function": {"name": "f"}}]),
    )
    stranger = OpenAI(api_key="hf_nobody", max_retries=0)
    expect(openai.AuthenticationError, "invalid_api_key", stranger.models.list)


def cancelled():
    stream = client.chat.completions.create(model="clock", messages=MESSAGES, stream=True)
    pieces = [chunk.choices[0].delta.content for _, chunk in zip(range(6), stream)]
    assert any("tick" in (piece or "") for piece in pieces), pieces
    stream.close()


ALL = [models, chat, chat_streamed, completions, embeddings, errors]
for check in ALL if sys.argv[1] == "all" else [globals()[sys.argv[1]]]:
    check()
    print("ok", check.__name__, flush=True)
