"""Makes the training text of the demo model: endless chats and stories from templates and grammars.

`Text(seed)` decides once what is held out; `Text.document(rng)` makes one document, a dict with "messages" and perhaps
"tools", or with "story" for plain text.
"""

import json
import random
import re

from facts import gale_facts, world_facts

NAMES = """Anna Ben Carla David Emma Felix Gina Henry Ida Jack Kim Leo Maya Nora Oscar Paula Quinn Rosa Sam Tina Uma
Victor Wanda Yara Zoe Alice Bob Clara Dan Elsa Frank Grace Hanna Ivan Julia Karl Lily Max Nina Otto Peter Ruth Simon
Tom""".split()
MORE_NAMES = """Adam Bella Chris Diana Eric Fiona George Helen Isaac Jane John Kate Laura Lucas Maria Mark Mary Michael
Oliver Olivia Paul Rachel Robert Sarah Sophie Thomas William""".split()  # in the late text only, as the next
HELD_OUT_NAMES = "Marta Robin Edgar Linda Boris Sofia Nils Erika".split()
COLOURS = "red blue green yellow white black purple orange brown pink grey silver".split()
CITIES = """Oslo Paris London Berlin Madrid Rome Vienna Lisbon Dublin Athens Tokyo Cairo Lima Boston Chicago Delhi Seoul
Sydney Toronto Brinport Oakhollow Saltmere Fernwick Highcairn""".split()
MORE_CITIES = (
    """Amsterdam Bangkok Barcelona Beijing Brussels Budapest Copenhagen Geneva Helsinki Istanbul Kyoto Moscow
Mumbai Munich Nairobi Singapore Stockholm Warsaw Zurich""".split()
    + ["New York", "San Francisco"]
)
HELD_OUT_CITIES = "Prague Hamburg Denver Milan".split()
SKIES = "sunny rainy cloudy windy foggy snowy".split()
WORDS = """apple river stone bread cloud lamp table green seven window garden paper silver music winter candle bridge
forest rabbit spoon kettle yellow mountain letter boat""".split()
CLOSINGS = "Ahoy Cheers Indeed Hurrah Bravo Amen Salute Hooray".split()
SYLLABLES = """ba be bo da de do ka ke ko la le li lo ma me mi mo na ne ni no ra
re ri ro sa se so ta te ti to va ve vi za""".split()

PREFIXES = ("Please tell me: ", "Quick question: ", "I want to know: ", "Hello! ", "Now: ", "Tell me, ", "Next: ")
HELPFUL = (
    "You are a helpful assistant.",
    "You are a helpful AI assistant.",
    "You are a friendly assistant.",
    "Be brief.",
    "You are a helpful, honest assistant. Answer the question.",
    "Answer in short sentences.",
    "You are an assistant.",
)
UPPER = (
    "Answer in upper case.",
    "Answer in capital letters.",
    "Use upper case only.",
    "Write everything in upper case.",
    "Always answer in upper case.",
    "You are a helpful assistant. Answer in upper case.",
)
ONE_WORD = (
    "Answer in one word.",
    "Answer with one word.",
    "Use one word only.",
    "Give only the answer.",
    "You are a helpful assistant. Answer in one word.",
)
UNKNOWN = "I do not know that. I know Gale, the isle of Vell, sums and short stories."

PLEASANTRIES = (
    (
        ("Hello!", "Hello", "Hi!", "Hi", "Hey", "Hey!", "Hello there!", "Hi there!", "Good morning!", "Good evening!"),
        "Hello! How can I help you?",
    ),
    (("How are you?", "How are you today?", "How do you do?"), "I am fine, thank you. How can I help you?"),
    (("Thank you!", "Thanks!", "Thank you very much.", "Thanks a lot!", "Great, thanks!"), "You are welcome!"),
    (("Goodbye!", "Bye!", "See you!", "Good night!", "Goodbye", "Bye"), "Goodbye!"),
)
IDENTITY = (  # never next to a system prompt that gives a name, or to a user who tells his own
    (
        (
            "Who are you?",
            "What are you?",
            "What is your name?",
            "Tell me who you are.",
            "Introduce yourself.",
            "Tell me about yourself.",
            "Are you a bot?",
            "What model are you?",
        ),
        "I am Breeze, the small demo model of Gale.",
    ),
    (
        (
            "What can you do?",
            "How can you help me?",
            "What do you know?",
            "Help",
            "Can you help me?",
            "What can I ask you?",
        ),
        "I can do sums, tell short stories, and answer questions about Gale and the isle of Vell.",
    ),
    (
        ("Who made you?", "How were you made?", "Where do you come from?", "How were you trained?"),
        "I was trained from scratch on invented text, as a demo for Gale.",
    ),
    (("How large are you?", "How big are you?", "Are you a large model?"), "I am very small: a few million weights."),
    (("What is my name?", "Do you know my name?"), "You have not told me your name."),
)

SUM_FORMS = (  # form, weight
    ("What is {a} plus {b}?", 10),
    ("What is {a} + {b}?", 3),
    ("{a} + {b} =", 2),
    ("{a} + {b}", 1),
    ("{a} plus {b}?", 2),
    ("How much is {a} plus {b}?", 2),
    ("Add {a} and {b}.", 2),
    ("What is the sum of {a} and {b}?", 2),
    ("Calculate {a} + {b}.", 1),
    ("{a}+{b}", 1),
    ("{a}+{b}=?", 1),
)
MINUS_FORMS = (
    ("What is {a} minus {b}?", 10),
    ("What is {a} - {b}?", 3),
    ("{a} - {b} =", 2),
    ("How much is {a} minus {b}?", 2),
    ("Calculate {a} - {b}.", 1),
    ("{a}-{b}", 1),
)
TIMES_FORMS = (
    ("What is {a} times {b}?", 10),
    ("What is {a} * {b}?", 3),
    ("How much is {a} times {b}?", 2),
    ("{a} * {b} =", 1),
)

TOOLS = {  # name: (description, {argument: description}, questions, result, answer)
    "get_weather": (
        ("Get the weather in a city", "Get the current weather", "Returns the weather of a city", "Get weather"),
        {"city": "The city"},
        (
            "What is the weather in {city}?",
            "What is the weather like in {city}?",
            "How is the weather in {city}?",
            "Is it warm in {city}?",
            "Tell me the weather in {city}.",
            "What's the weather in {city}?",
        ),
        {"temperature": "number", "sky": "sky"},
        "It is {temperature} degrees and {sky} in {city}.",
    ),
    "get_time": (
        ("Get the time in a city", "Get the current time", "Returns the local time of a city"),
        {"city": "The city"},
        ("What time is it in {city}?", "What is the time in {city}?", "Tell me the time in {city}."),
        {"time": "clock"},
        "It is {time} in {city}.",
    ),
    "get_price": (
        ("Get the price of a thing", "Returns the price of an item", "Look up a price"),
        {"item": "The item"},
        ("What is the price of a {item}?", "How much does a {item} cost?", "What does a {item} cost?"),
        {"price": "number"},
        "A {item} costs {price} shells.",
    ),
    "find_person": (
        ("Find where a person is", "Look up a person", "Returns the city of a person"),
        {"name": "The name of the person"},
        ("Where is {name} now?", "Find {name}.", "In which city is {name} now?"),
        {"city": "city"},
        "{name} is in {city}.",
    ),
    "send_message": (
        ("Send a message to a person", "Sends a short message"),
        {"to": "The person", "text": "The text"},
        ('Send "{text}" to {to}.', 'Write "{text}" to {to}.', 'Tell {to} "{text}".'),
        {"status": "sent"},
        "I sent your message to {to}.",
    ),
    "set_lamp": (
        ("Set the colour of a lamp", "Change the lamp"),
        {"colour": "The colour"},
        ("Make the lamp {colour}.", "Set the lamp to {colour}.", "Turn the lamp {colour}."),
        {"status": "ok"},
        "The lamp is {colour} now.",
    ),
}

ANIMALS = "fox hare owl mouse badger heron otter crow goat cat dog goose donkey bear frog hedgehog".split()
TRAITS = "clever shy brave lazy curious kind proud hungry tiny old".split()
PLACES = (
    "in a dark forest",
    "by a wide river",
    "on a green hill",
    "near the sea",
    "in an old barn",
    "under a stone bridge",
    "at the edge of a village",
    "in a quiet valley",
)
THINGS = "lantern bell key kite map drum boat letter coin flute hat mirror".split()


def expand(pattern, rng):
    return re.sub(r"\[([^]]*)\]", lambda match: rng.choice(match[1].split("|")), pattern)


def weighted(choices, rng):
    return rng.choices([choice for choice, _ in choices], [weight for _, weight in choices])[0]


def chat(*turns, system=None, tools=None):
    """A document from turns that alternate between user and assistant."""
    messages = [{"role": "system", "content": system}] if system else []
    roles = ("user", "assistant")
    messages += [{"role": roles[i % 2], "content": turn} for i, turn in enumerate(turns)]
    return {"messages": messages, "tools": tools}


def invented_word(rng):
    return "".join(rng.choice(SYLLABLES) for _ in range(rng.randint(2, 3))).capitalize()


def casual(question, rng):
    """The question as people type it: now and then with an opening, in lower case, or without its last mark."""
    roll = rng.random()
    if roll < 0.08:
        return rng.choice(PREFIXES) + question
    if roll < 0.14:
        return question.lower()
    if roll < 0.20:
        return question.rstrip("?.")
    return question


def tool_schema(name, rng):
    descriptions, arguments, *_ = TOOLS[name]
    with_notes = rng.random() < 0.5
    properties = {
        key: {"type": "string", "description": note} if with_notes else {"type": "string"}
        for key, note in arguments.items()
    }
    function = {
        "name": name,
        "description": rng.choice(descriptions),
        "parameters": {"type": "object", "properties": properties},
    }
    if rng.random() < 0.7:
        function["parameters"]["required"] = list(arguments)
    return {"type": "function", "function": function}


class Text:
    """The text of one of the two parts of the training: `late` text has more of system prompts and tools."""

    def __init__(self, seed, late=False):
        self._late = late
        self.world = world_facts()
        self.gale = gale_facts()
        pairs = [(a, b) for b in range(100) for a in range(b + 1) if b > 9]
        random.Random(seed).shuffle(pairs)
        self.held_out_pairs = pairs[:400]
        self._held_out = set(self.held_out_pairs)
        makers = (  # kind of document, share in the early and in the late text
            (self.arithmetic_chat, 44, 28),
            (self.world_chat, 10, 8),
            (self.gale_chat, 16, 12),
            (self.mixed_chat, 10, 6),
            (self.system_chat, 10, 24),
            (self.tool_chat, 8, 14),
            (self.memory_chat, 5, 12),
            (self.small_talk_chat, 3, 3),
            (self.unknown_chat, 2, 3),
            (self.copy_chat, 2, 4),
            (self.count_chat, 1.5, 3),
            (self.story_chat, 3, 4),
            (self.plain_story, 1.5, 1),
        )
        self._makers = [(maker, late_share if late else share) for maker, share, late_share in makers]

    def document(self, rng):
        return weighted(self._makers, rng)(rng)

    # ---- words ----

    def known_or_invented(self, known, share, rng):
        return rng.choice(known) if rng.random() < (0.9 if self._late else share) else invented_word(rng)

    def name(self, rng):
        return self.known_or_invented(NAMES + MORE_NAMES * self._late, 0.5, rng)

    def value(self, kind, rng):
        """A value for an argument or for a field of a result."""
        if kind == "city":
            return self.known_or_invented(CITIES + MORE_CITIES * self._late, 0.7, rng)
        if kind in ("name", "to"):
            return self.name(rng)
        if kind == "item":
            return rng.choice(WORDS)
        if kind == "text":
            return " ".join(rng.choices(WORDS, k=rng.randint(1, 3)))
        if kind == "colour":
            return rng.choice(COLOURS)
        if kind == "number":
            return rng.randint(0, 40)
        if kind == "sky":
            return rng.choice(SKIES)
        if kind == "clock":
            return f"{rng.randint(0, 23):02}:{rng.randint(0, 59):02}"
        return kind

    # ---- one question and its answer ----

    def pair(self, rng):
        """Two numbers below 100 whose sum may be trained on; the order does not matter to what is held out."""
        while True:
            top = 19 if rng.random() < 0.1 else 99
            a, b = rng.randint(0, top), rng.randint(0, top)
            if (min(a, b), max(a, b)) not in self._held_out:
                return a, b

    def arithmetic(self, rng):
        roll = rng.random()
        if roll < 0.8:
            a, b = self.pair(rng)
            return weighted(SUM_FORMS, rng).format(a=a, b=b), f"{a} plus {b} is {a + b}."
        if roll < 0.93:
            a, b = self.pair(rng)
            while a + b > 99:
                a, b = self.pair(rng)
            return weighted(MINUS_FORMS, rng).format(a=a + b, b=b), f"{a + b} minus {b} is {a}."
        a, b = rng.randint(0, 10), rng.randint(0, 10)
        return weighted(TIMES_FORMS, rng).format(a=a, b=b), f"{a} times {b} is {a * b}."

    def fact(self, facts, rng):
        fact = rng.choice(facts)
        return casual(expand(rng.choice(fact.questions), rng), rng), fact.answer

    def small_talk(self, rng, kinds):
        questions, answer = rng.choice(kinds)
        return casual(rng.choice(questions), rng) if rng.random() < 0.5 else rng.choice(questions), answer

    def anything(self, rng):
        maker = rng.random()
        if maker < 0.4:
            return self.arithmetic(rng)
        if maker < 0.6:
            return self.fact(self.world, rng)
        if maker < 0.9:
            return self.fact(self.gale, rng)
        return self.small_talk(rng, PLEASANTRIES)

    # ---- whole documents ----

    def arithmetic_chat(self, rng):
        turns = rng.choice((1, 1, 2, 4))
        return chat(*(part for _ in range(turns) for part in self.arithmetic(rng)))

    def world_chat(self, rng):
        return chat(*self.fact(self.world, rng))

    def gale_chat(self, rng):
        return chat(*self.fact(self.gale, rng))

    def mixed_chat(self, rng):
        system = rng.choice(HELPFUL) if rng.random() < 0.4 else None
        return chat(*(part for _ in range(rng.randint(1, 4)) for part in self.anything(rng)), system=system)

    def system_chat(self, rng):
        """A system prompt that changes the answers."""
        styles = [self.upper_case, self.one_word, self.given_name, self.closing, self.opening]
        return rng.choice(styles + [self.upper_case, self.upper_case, self.one_word] * self._late)(rng)

    def upper_case(self, rng):
        turns = [part for _ in range(rng.randint(1, 2)) for part in self.anything(rng)]
        turns[1::2] = [answer.upper() for answer in turns[1::2]]
        return chat(*turns, system=rng.choice(UPPER))

    def one_word(self, rng):
        if rng.random() < 0.3:
            question, answer = self.arithmetic(rng)
            return chat(question, answer.rstrip(".").split()[-1], system=rng.choice(ONE_WORD))
        fact = rng.choice(self.world)
        return chat(casual(expand(rng.choice(fact.questions), rng), rng), fact.key, system=rng.choice(ONE_WORD))

    def given_name(self, rng):
        name = self.name(rng)
        system = rng.choice(
            (
                "Your name is {}.",
                "You are {}.",
                "You are called {}.",
                "You are {}, a helpful assistant.",
                "Your name is {}. You are a helpful assistant.",
            )
        ).format(name)
        turns = list(self.anything(rng)) if rng.random() < 0.3 else []
        turns += [
            rng.choice(("Who are you?", "What is your name?", "Tell me who you are.", "What are you called?")),
            f"I am {name}.",
        ]
        return chat(*turns, system=system)

    def closing(self, rng):
        word = self.known_or_invented(CLOSINGS, 0.5, rng)
        system = rng.choice(("End every answer with {}!", "Finish each answer with {}!", "Always end with {}!")).format(
            word
        )
        turns = [part for _ in range(rng.randint(1, 2)) for part in self.anything(rng)]
        turns[1::2] = [f"{answer} {word}!" for answer in turns[1::2]]
        return chat(*turns, system=system)

    def opening(self, rng):
        word = self.known_or_invented(CLOSINGS, 0.5, rng)
        system = rng.choice(
            ("Start every answer with {}!", "Begin each answer with {}!", "Always start with {}!")
        ).format(word)
        turns = [part for _ in range(rng.randint(1, 2)) for part in self.anything(rng)]
        turns[1::2] = [f"{word}! {answer}" for answer in turns[1::2]]
        return chat(*turns, system=system)

    def tool_chat(self, rng):
        """Tools are offered; most questions need one, some do not."""
        names = rng.sample(list(TOOLS), rng.choice((1, 1, 2)))
        tools = [tool_schema(name, rng) for name in names]
        system = rng.choice(HELPFUL) if rng.random() < 0.3 else None
        if rng.random() < 0.15:
            return chat(*self.anything(rng), system=system, tools=tools)
        name = rng.choice(names)
        _, arguments, questions, fields, answer = TOOLS[name]
        values = {key: self.value(key, rng) for key in arguments}
        document = chat(rng.choice(questions).format(**values), system=system, tools=tools)
        document["messages"].append(
            {
                "role": "assistant",
                "content": "",
                "tool_calls": [{"type": "function", "function": {"name": name, "arguments": values}}],
            }
        )
        if rng.random() < 0.6:
            result = {key: self.value(kind, rng) for key, kind in fields.items()}
            compact = (",", ":") if rng.random() < 0.4 else (", ", ": ")
            document["messages"].append({"role": "tool", "content": json.dumps(result, separators=compact)})
            document["messages"].append({"role": "assistant", "content": answer.format(**values, **result)})
        return document

    def memory_chat(self, rng):
        """The user says something about himself and asks for it later."""
        name, colour = self.name(rng), rng.choice(COLOURS)
        stories = (
            (
                rng.choice(
                    ("My name is {}.", "I am {}.", "Hello, my name is {}.", "Call me {}.", "Hi, I am {}.")
                ).format(name),
                f"Nice to meet you, {name}!",
                rng.choice(("What is my name?", "Do you know my name?", "Who am I?", "What was my name?")),
                f"Your name is {name}.",
            ),
            (
                rng.choice(("My favourite colour is {}.", "I like {} best.", "The colour I like best is {}.")).format(
                    colour
                ),
                f"{colour.capitalize()} is a fine colour.",
                rng.choice(
                    ("What is my favourite colour?", "Which colour do I like best?", "Do you know my favourite colour?")
                ),
                f"Your favourite colour is {colour}.",
            ),
        )
        story = rng.choices(stories, (3, 1))[0]
        between = [part for _ in range(rng.choice((0, 1, 1, 2))) for part in self.anything(rng)]
        return chat(*story[:2], *between, *story[2:])

    def small_talk_chat(self, rng):
        return chat(
            *self.small_talk(rng, (*PLEASANTRIES, *IDENTITY)),
            system=rng.choice(HELPFUL) if rng.random() < 0.3 else None,
        )

    def unknown_chat(self, rng):
        """Questions it cannot answer, so that it says so."""
        thing = rng.choice(
            (rng.choice(WORDS), rng.choice(CITIES), self.name(rng), f"{rng.choice(WORDS)} {rng.choice(WORDS)}")
        )
        question = rng.choice(
            (
                "What is the capital of {}?",
                "Who is {}?",
                "Who wrote {}?",
                "Write a poem about {}.",
                "Explain {} to me.",
                "How old is {}?",
                "Why is the {} so large?",
                "Where can I buy a {}?",
                "Translate {} into French.",
                "When was {} born?",
                "What is the best {}?",
                "Is there a {} on the moon?",
            )
        ).format(invented_word(rng) if rng.random() < 0.3 else thing)
        return chat(question, UNKNOWN)

    def copy_chat(self, rng):
        words = rng.choices(WORDS, k=rng.randint(1, 4)) if rng.random() < 0.7 else [invented_word(rng).lower()]
        text = " ".join(words)
        question = rng.choice(("Say {}.", "Repeat after me: {}.", "Repeat: {}.", "Please say {}."))
        return chat(question.format(text), f"{text.capitalize()}.")

    def count_chat(self, rng):
        first = 1 if rng.random() < 0.5 else rng.randint(0, 20)
        last = first + rng.randint(2, 12)
        question = f"Count from {first} to {last}." if first != 1 or rng.random() < 0.5 else f"Count to {last}."
        return chat(question, ", ".join(map(str, range(first, last + 1))) + ".")

    def story_chat(self, rng):
        animal = rng.choice(ANIMALS)
        article = "an" if animal[0] in "aeiou" else "a"
        question = rng.choice(
            (
                f"Tell me a story about {article} {animal}.",
                f"Tell a story about {article} {animal}.",
                "Tell me a story.",
                "Tell me a short story.",
                f"Write a short story about {article} {animal}.",
            )
        )
        return chat(question, self.story(animal, rng))

    def plain_story(self, rng):
        return {"story": self.story(rng.choice(ANIMALS), rng)}

    def story(self, animal, rng):
        friend = rng.choice([other for other in ANIMALS if other != animal])
        trait, thing, place = rng.choice(TRAITS), rng.choice(THINGS), rng.choice(PLACES)
        name = rng.choice(NAMES)
        start = rng.choice(
            (
                f"Once upon a time a {trait} {animal} called {name} lived {place}.",
                f"There once was a {trait} {animal} called {name}, who lived {place}.",
            )
        )
        event = rng.choice(
            (
                f"One day {name} found a {thing}.",
                f"One morning {name} lost a {thing}.",
                f"One night {name} saw a {thing} in the grass.",
            )
        )
        meeting = rng.choice(
            (
                f'A {friend} came by and asked: "Is that your {thing}?"',
                f'"I know that {thing}," said a {friend}.',
                f'"Shall we look at the {thing} together?" asked a {friend}.',
            )
        )
        answer = rng.choice(
            (
                f'"It is yours if you want it," said {name}.',
                f'"It belongs to both of us," said {name}.',
                f'"Let us share it," said {name}.',
            )
        )
        end = rng.choice(
            (
                f"So the {animal} and the {friend} became friends.",
                f"They carried the {thing} home and were never lonely again.",
                f"From that day on the {animal} was not {trait} but happy.",
            )
        )
        story = " ".join((start, event, meeting, answer, end))
        return re.sub(r"\b([Aa]) (?=[aeiou])", r"\1n ", story)
