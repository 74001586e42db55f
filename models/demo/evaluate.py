#!/usr/bin/env python3
"""The held-out questions of the demo model.

    python evaluate.py --write    make eval_questions.jsonl anew from what text.py holds out
    python evaluate.py DIR        ask them greedily, with transformers, and print the accuracy of each group

A line of eval_questions.jsonl is {"group", "messages", "tools" (where there are any), "expected", "match"}; "match" is
"contains" (the answer has the expected text in it) or "equals" (the whole answer, spaces at its ends aside).

The questions of the groups sums, world and gale are not in the training text. The groups system, turns and tools use
words that are in it, in turns that need not be. The group unseen repeats names and cities that are not in it.
"""

import argparse
import json
import random
import re
from collections import defaultdict
from pathlib import Path

from text import CLOSINGS, HELD_OUT_CITIES, HELD_OUT_NAMES, Text, chat, expand, tool_schema

SEED = 1  # of the text: it decides what is held out
QUESTIONS = Path(__file__).parent / "eval_questions.jsonl"
SUMS, FACTS, GALE_FACTS = 200, 40, 40


def line(group, document, expected, match="contains"):
    tools = {"tools": document["tools"]} if document["tools"] else {}
    return {"group": group, "messages": document["messages"], **tools, "expected": expected, "match": match}


def sums(text, rng):
    for a, b in rng.sample(text.held_out_pairs, SUMS):
        a, b = rng.sample((a, b), 2)
        yield line("sums", chat(f"What is {a} plus {b}?"), f" is {a + b}.")


def facts(group, known, count, rng):
    for fact in rng.sample(known, count):
        yield line(group, chat(expand(fact.held_out, rng)), fact.key)


def styles(text, rng):
    """System prompts that change how a fact is told."""
    for fact in rng.sample(text.world, 4):
        document = chat(expand(fact.held_out, rng), system="Answer in upper case.")
        yield line("system", document, fact.answer.upper(), "equals")
    for fact in rng.sample(text.world, 3):
        document = chat(expand(fact.held_out, rng), system="Answer in one word.")
        yield line("system", document, fact.key, "equals")
    for fact, word in zip(rng.sample(text.world, 2), CLOSINGS):
        document = chat(expand(fact.held_out, rng), system=f"End every answer with {word}!")
        yield line("system", document, f"{fact.answer} {word}!", "equals")


def own_name(group, names):
    for name in names:
        yield line(group, chat("What is your name?", system=f"Your name is {name}."), f"I am {name}.", "equals")


def user_name(group, names, text):
    for name, (a, b) in zip(names, text.held_out_pairs):
        document = chat(
            f"My name is {name}.",
            f"Nice to meet you, {name}!",
            f"What is {a} plus {b}?",
            f"{a} plus {b} is {a + b}.",
            "What is my name?",
        )
        yield line(group, document, f"Your name is {name}.", "equals")


def call_of(name, arguments):
    return json.dumps({"name": name, "arguments": arguments})


def weather(group, cities, rng):
    """The call for a city, and the answer made of its result."""
    tools = [tool_schema("get_weather", rng)]
    for city in cities:
        question = f"What is the weather in {city}?"
        yield line(group, chat(question, tools=tools), call_of("get_weather", {"city": city}))
        degrees = rng.randint(0, 30)
        answered = chat(question, tools=tools)
        call = {"type": "function", "function": {"name": "get_weather", "arguments": {"city": city}}}
        answered["messages"] += [
            {"role": "assistant", "content": "", "tool_calls": [call]},
            {"role": "tool", "content": json.dumps({"temperature": degrees, "sky": "windy"})},
        ]
        yield line(group, answered, f"It is {degrees} degrees and windy in {city}.", "equals")


def choice_of_tools(rng):
    tools = [tool_schema(name, rng) for name in ("set_lamp", "get_time")]
    yield line("tools", chat("Make the lamp green.", tools=tools), call_of("set_lamp", {"colour": "green"}))
    yield line("tools", chat("What time is it in Oslo?", tools=tools), call_of("get_time", {"city": "Oslo"}))


def questions(seed):
    text, rng = Text(seed), random.Random(f"{seed}/questions")
    yield from sums(text, rng)
    yield from facts("world", text.world, FACTS, rng)
    yield from facts("gale", text.gale, GALE_FACTS, rng)
    yield from styles(text, rng)
    yield from own_name("system", ("Anna", "Oscar"))
    yield from user_name("turns", ("Sam", "Maya", "Felix", "Nora", "Tom"), text)
    yield from weather("tools", ("Oslo", "Paris", "Tokyo", "Berlin"), rng)
    yield from choice_of_tools(rng)
    yield from own_name("unseen", HELD_OUT_NAMES[:3])
    yield from user_name("unseen", HELD_OUT_NAMES[3:], text)
    yield from weather("unseen", HELD_OUT_CITIES, rng)


def bare(question):
    return question.lower().rstrip("?.")


def asked_in(document):
    return [message["content"] for message in document.get("messages", ()) if message["role"] == "user"]


def check_held_out(lines, seed, documents=50000):
    """No question of the groups sums, world and gale, and no held-out name or city, is in the training text."""
    single = tuple(bare(line["messages"][0]["content"]) for line in lines if line["group"] in ("sums", "world", "gale"))
    unseen = set(HELD_OUT_NAMES + HELD_OUT_CITIES)
    rng = random.Random(f"{seed}/check")
    for text in (Text(seed), Text(seed, late=True)):
        for _ in range(documents):
            for question in asked_in(text.document(rng)):
                assert not bare(question).endswith(single), f"{question!r} is in the training text"
                assert unseen.isdisjoint(re.findall(r"\w+", question)), f"{question!r} has a held-out word"


def write(seed):
    lines = list(questions(seed))
    check_held_out(lines, seed)
    QUESTIONS.write_text("".join(json.dumps(line) + "\n" for line in lines))


def matches(answer, line):
    answer = answer.strip()
    return answer == line["expected"] if line["match"] == "equals" else line["expected"] in answer


def report(directory):
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(directory)
    model = AutoModelForCausalLM.from_pretrained(directory, dtype=torch.float32).eval()
    right, asked = defaultdict(int), defaultdict(int)
    for line in map(json.loads, QUESTIONS.open()):
        prompt = tokenizer.apply_chat_template(
            line["messages"], tools=line.get("tools"), add_generation_prompt=True, return_tensors="pt", return_dict=True
        )
        out = model.generate(**prompt, max_new_tokens=80, do_sample=False)
        answer = tokenizer.decode(out[0, prompt["input_ids"].shape[1] :], skip_special_tokens=True)
        asked[line["group"]] += 1
        if matches(answer, line):
            right[line["group"]] += 1
        else:
            print(f"wrong: {line['messages'][-1]['content']!r} -> {answer!r}, expected {line['expected']!r}")
    for group, count in asked.items():
        print(f"{group:8} {right[group]:4} of {count:4}  {100 * right[group] / count:5.1f} %")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("directory", nargs="?", type=Path)
    parser.add_argument("--write", action="store_true")
    arguments = parser.parse_args()
    if arguments.write:
        write(SEED)
    if arguments.directory:
        report(arguments.directory)


if __name__ == "__main__":
    main()
