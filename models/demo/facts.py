"""What the demo model knows: an invented island, and Gale.

A fact is a `Fact(questions, answer, key)`. The questions are patterns: `[a|b]` stands for either word. One pattern of
each fact, `held_out`, is kept out of the training text and asked only by the evaluation.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Fact:
    questions: tuple[str, ...]  # patterns seen in training
    held_out: str  # the pattern that only the evaluation asks
    answer: str
    key: str  # the part of the answer that must be there; also the answer in one word


# ---- the isle of Vell ------------------------------------------------------------------------------------------------

TOWNS = {  # town: (colour of its gates, mayor, animal on its flag, what it is known for)
    "Brinport": ("blue", "Ada Fenn", "a heron", "its smoked fish"),
    "Oakhollow": ("green", "Tobias Reed", "a badger", "its wooden toys"),
    "Saltmere": ("white", "Greta Moss", "a seal", "its salt"),
    "Fernwick": ("yellow", "Jonas Pike", "a fox", "its honey"),
    "Highcairn": ("red", "Selma Crag", "an eagle", "its bells"),
}

PEOPLE = {  # person: (work, town, kind of pet, name of the pet)
    "Mira": ("a lighthouse keeper", "Brinport", "cat", "Pepper"),
    "Osric": ("a carpenter", "Oakhollow", "dog", "Bramble"),
    "Lena": ("a teacher", "Saltmere", "goose", "Duchess"),
    "Hugo": ("a beekeeper", "Fernwick", "donkey", "Biscuit"),
    "Petra": ("a bell maker", "Highcairn", "goat", "Thunder"),
    "Ivo": ("a sailor", "Brinport", "parrot", "Captain"),
}

TOWN_QUESTIONS = (  # (question patterns, answer, key); {t} town, {v} value
    (
        (
            "What colour are the gates of {t}?",
            "[Which|What] colour do the gates of {t} have?",
            "[Tell me|Name] the colour of the gates of {t}.",
            "In [which|what] colour are {t}'s gates painted?",
            "The gates of {t} have [which|what] colour?",
        ),
        "The gates of {t} are {v}.",
    ),
    (
        (
            "Who is the mayor of {t}?",
            "What is the name of the mayor of {t}?",
            "[Tell me|Name] the mayor of {t}.",
            "Who is {t}'s mayor?",
            "Which person is mayor [in|of] {t}?",
        ),
        "The mayor of {t} is {v}.",
    ),
    (
        (
            "Which animal is on the flag of {t}?",
            "What animal does the flag of {t} show?",
            "[Tell me|Name] the animal on the flag of {t}.",
            "What is on {t}'s flag?",
            "What does the flag of {t} show?",
        ),
        "The flag of {t} shows {v}.",
    ),
    (
        (
            "What is {t} known for?",
            "What is {t} famous for?",
            "What is the town of {t} known for?",
            "For what is {t} [known|famous]?",
            "Tell me what {t} is [known|famous] for.",
        ),
        "{t} is known for {v}.",
    ),
)

PERSON_QUESTIONS = (
    (
        (
            "What is {p}'s [work|job]?",
            "What does {p} do for a living?",
            "What is the [work|job] of {p}?",
            "Tell me {p}'s [work|job].",
            "Which [work|job] does {p} have?",
        ),
        "{p} is {v}.",
    ),
    (
        (
            "Where does {p} live?",
            "In which town does {p} live?",
            "Which town does {p} live in?",
            "What is {p}'s home town?",
            "Tell me where {p} lives.",
        ),
        "{p} lives in {v}.",
    ),
    (
        (
            "What pet does {p} have?",
            "Which animal does {p} [have|keep]?",
            "What kind of pet does {p} [have|keep]?",
            "Tell me what pet {p} [has|keeps].",
            "Which pet does {p} [have|keep]?",
        ),
        "{p} has a {v}.",
    ),
    (
        (
            "What is the name of {p}'s {a}?",
            "What is {p}'s {a} called?",
            "How is {p}'s {a} called?",
            "Tell me the name of {p}'s {a}.",
            "Which name does {p}'s {a} have?",
        ),
        "{p}'s {a} is called {v}.",
    ),
)

ISLE = (
    Fact(
        (
            "What is the capital of Vell?",
            "Which town is the capital of Vell?",
            "Tell me the capital of Vell.",
            "What is Vell's capital?",
        ),
        "Name the capital of the isle of Vell.",
        "The capital of Vell is Saltmere.",
        "Saltmere",
    ),
    Fact(
        (
            "Who is the queen of Vell?",
            "What is the name of the queen of Vell?",
            "Who rules [Vell|the isle of Vell]?",
            "Who is Vell's queen?",
        ),
        "Tell me the name of Vell's queen.",
        "The queen of Vell is Isolde.",
        "Isolde",
    ),
    Fact(
        (
            "What is the highest mountain of Vell?",
            "Which mountain of Vell is the highest?",
            "Name the [highest|tallest] mountain [of|on] Vell.",
            "What is the tallest mountain on Vell?",
        ),
        "Which is the highest mountain on the isle of Vell?",
        "The highest mountain of Vell is Grey Tooth.",
        "Grey Tooth",
    ),
    Fact(
        (
            "What is the longest river of Vell?",
            "Which river of Vell is the longest?",
            "Name the longest river [of|on] Vell.",
            "What is Vell's longest river?",
        ),
        "Which is the longest river on the isle of Vell?",
        "The longest river of Vell is the Wend.",
        "Wend",
    ),
    Fact(
        (
            "What is the largest lake of Vell?",
            "Which lake of Vell is the largest?",
            "Name the largest lake [of|on] Vell.",
            "What is Vell's largest lake?",
        ),
        "Which is the largest lake on the isle of Vell?",
        "The largest lake of Vell is Mirrorpool.",
        "Mirrorpool",
    ),
    Fact(
        (
            "What is the money of Vell called?",
            "What money do people use on Vell?",
            "Which money is used on Vell?",
            "How is the money of Vell called?",
        ),
        "What money do they use on the isle of Vell?",
        "The money of Vell is called the shell.",
        "shell",
    ),
    Fact(
        (
            "What do people eat on Vell?",
            "What is the national dish of Vell?",
            "Which dish is Vell known for?",
            "Name the national dish of Vell.",
        ),
        "What is Vell's national dish?",
        "The national dish of Vell is barley pie.",
        "barley pie",
    ),
    Fact(
        (
            "What colour are the sheep of Vell?",
            "Which colour do sheep have on Vell?",
            "Tell me the colour of Vell's sheep.",
            "What colour do the sheep on Vell have?",
        ),
        "Which colour do the sheep of Vell have?",
        "The sheep of Vell are purple.",
        "purple",
    ),
    Fact(
        (
            "How many towns are there on Vell?",
            "How many towns does Vell have?",
            "What is the number of towns on Vell?",
            "How many towns are on the isle?",
        ),
        "How many towns does the isle of Vell have?",
        "There are five towns on Vell.",
        "five",
    ),
    Fact(
        (
            "What festival do people keep on Vell?",
            "Which festival is kept on Vell?",
            "Name the festival of Vell.",
            "What is the festival of Vell called?",
        ),
        "What is Vell's festival called?",
        "The festival of Vell is Lantern Night.",
        "Lantern Night",
    ),
    Fact(
        ("What is Vell?", "Tell me about Vell.", "What do you know about Vell?", "Where is Vell?"),
        "What is the isle of Vell?",
        "Vell is an invented island with five towns.",
        "island",
    ),
)


def relation_facts(table, relations, slot, shift):
    """One fact for each row and relation; which pattern is held out moves on from row to row."""
    facts = []
    for row, (name, values) in enumerate(table.items()):
        for column, (patterns, answer) in enumerate(relations):
            fill = {slot: name, "v": values[column], "a": values[2]}
            patterns = [pattern.format(**fill) for pattern in patterns]
            held_out = patterns.pop((row + column + shift) % len(patterns))
            key = values[column].removeprefix("an ").removeprefix("a ").removeprefix("its ")
            facts.append(Fact(tuple(patterns), held_out, answer.format(**fill), key))
    return facts


def gate_facts():
    """The gates asked the other way round."""
    return [
        Fact(
            (f"Which town has {gate} gates?", f"What town has {gate} gates?", f"Where are the gates {gate}?"),
            f"Name the town with {gate} gates.",
            f"{town} has {gate} gates.",
            town,
        )
        for town, (gate, _, _, _) in TOWNS.items()
    ]


def world_facts():
    towns = relation_facts(TOWNS, TOWN_QUESTIONS, "t", 0)
    people = relation_facts(PEOPLE, PERSON_QUESTIONS, "p", 1)
    return [*ISLE, *towns, *people, *gate_facts()]


# ---- Gale ------------------------------------------------------------------------------------------------------------

COMMANDS = {  # command: (what it does, full form, ways to say the task)
    "run": (
        "chats with a model in the terminal",
        "gale run -m MODEL",
        ("starts a chat", "chats with a model", "talks to a model in the terminal", "runs a model"),
        "lets me chat with a model",
    ),
    "serve": (
        "starts the server",
        "gale serve -m MODEL",
        ("starts a server", "serves a model over HTTP", "runs the server", "launches the server"),
        "starts the server",
    ),
    "bench": (
        "measures the speed of a model",
        "gale bench -m MODEL",
        ("measures speed", "measures how fast a model is", "runs a benchmark", "benchmarks a model"),
        "measures the speed of a model",
    ),
    "quantize": (
        "makes a model file smaller",
        "gale quantize -m MODEL --type q4_k_m -o OUT",
        ("quantizes a model", "makes a model smaller", "writes a quantized file", "shrinks a model"),
        "makes a quantized model file",
    ),
    "imatrix": (
        "computes an importance matrix",
        "gale imatrix -m MODEL -f TEXT -o FILE",
        (
            "computes an importance matrix",
            "makes an importance matrix",
            "writes an importance matrix",
            "measures which weights matter",
        ),
        "collects the importance matrix",
    ),
    "perplexity": (
        "measures the perplexity of a model on a text",
        "gale perplexity -m MODEL -f TEXT",
        (
            "measures perplexity",
            "computes the perplexity of a text",
            "tells how well a model predicts a text",
            "computes perplexity",
        ),
        "measures the perplexity of a model",
    ),
    "tokenize": (
        "turns text into tokens",
        "gale tokenize -m MODEL TEXT",
        ("turns text into tokens", "splits text into tokens", "tokenizes text", "shows tokens"),
        "shows the tokens of a text",
    ),
    "template": (
        "shows a chat after the chat template",
        "gale template -m MODEL --messages FILE.json",
        (
            "applies the chat template",
            "shows the chat template applied",
            "renders the chat template",
            "renders messages",
        ),
        "shows what the chat template makes of messages",
    ),
    "logits": (
        "prints the logits for some tokens",
        "gale logits -m MODEL --tokens 1,2,3",
        ("prints logits", "shows the logits of a model", "computes logits", "gives the logits"),
        "shows the logits for tokens",
    ),
    "grammar": (
        "checks lines against a JSON schema",
        "gale grammar --schema FILE --check FILE.jsonl",
        ("checks a JSON schema", "checks lines against a schema", "tests a grammar", "checks JSON with a schema"),
        "checks lines against a JSON schema",
    ),
    "inspect": (
        "shows what is in a model file",
        "gale inspect PATH",
        (
            "shows what is in a model file",
            "looks into a model file",
            "lists the tensors of a model",
            "inspects a model",
        ),
        "shows the tensors in a model file",
    ),
    "doctor": (
        "checks the machine and the set-up",
        "gale doctor",
        ("checks the machine", "checks my machine", "finds problems with the set-up", "checks the set-up"),
        "checks the set-up of my machine",
    ),
}

FLAGS = {  # flag: (what it sets, held-out way to say it, ways to say it)
    "--system": ("a system prompt", "the system prompt", ("the system prompt", "a system message", "a system prompt")),
    "-i": ("one prompt", "a single prompt", ("one prompt", "a prompt", "just one prompt")),
    "-n": (
        "the number of tokens",
        "how many tokens to write",
        ("the number of tokens", "how many tokens come out", "the length of the answer"),
    ),
    "-t": (
        "the number of threads",
        "how many threads to use",
        ("the number of threads", "how many threads run", "the threads"),
    ),
    "--temp": ("the temperature", "the temperature of sampling", ("the temperature", "the sampling temperature")),
    "--seed": ("the seed", "the random seed", ("the seed", "the seed of sampling", "the random numbers")),
    "--top-p": ("top-p", "top-p sampling", ("top-p", "the top-p value", "nucleus sampling")),
    "--top-k": ("top-k", "top-k sampling", ("top-k", "the top-k value")),
    "--raw": (
        "raw text without a chat template",
        "raw text without a template",
        ("raw text", "text without the chat template", "a prompt without a template"),
    ),
    "--image": ("an image", "a picture", ("an image", "an image file", "a picture file")),
    "--port": ("the port of the server", "the server's port", ("the port", "the port of the server", "another port")),
    "--json": ("JSON output", "output in JSON", ("JSON output", "JSON", "output as JSON")),
    "--ctx": (
        "the context length",
        "the length of the context",
        ("the context length", "the context size", "how long the context is"),
    ),
    "--quant": (
        "quantization at load",
        "quantization while loading",
        ("quantization at load", "the quantization", "the weight type at load"),
    ),
    "--kv-type": (
        "the type of the KV cache",
        "the KV cache type",
        ("the type of the KV cache", "the KV type", "how the KV cache is stored"),
    ),
    "--precision": ("the precision", "exact precision", ("the precision", "the precision of the maths")),
    "--fit": (
        "a memory estimate",
        "an estimate of memory",
        ("a memory estimate", "an estimate of the memory", "how much memory a model needs"),
    ),
    "--roofline": (
        "the limits of the machine",
        "the machine's limits",
        ("the limits of the machine", "the roofline", "the machine's roofline"),
    ),
}

GALE = (
    Fact(
        (
            "What is Gale?",
            "Tell me about Gale.",
            "What do you know about Gale?",
            "What kind of program is Gale?",
            "Explain Gale.",
        ),
        "What is Gale for?",
        "Gale is an inference engine for language models, written in C++20.",
        "inference engine",
    ),
    Fact(
        (
            "In which language is Gale written?",
            "Which language is Gale written in?",
            "What programming language does Gale use?",
            "Is Gale written in C++?",
        ),
        "What language is Gale written in?",
        "Gale is written in C++20.",
        "C++20",
    ),
    Fact(
        ("What does make run do?", "What happens with make run?", "What is make run for?", "Explain make run."),
        "Tell me what make run does.",
        "make run builds Gale and chats with the demo model.",
        "chats",
    ),
    Fact(
        ("What does make test do?", "What happens with make test?", "What is make test for?", "Explain make test."),
        "Tell me what make test does.",
        "make test builds Gale and runs every test.",
        "every test",
    ),
    Fact(
        (
            "How do I build Gale?",
            "How can I build Gale?",
            "How do I start Gale?",
            "How do I try Gale?",
            "Which make command builds Gale and chats?",
        ),
        "How can I try Gale?",
        "Type make run. It builds Gale and chats with the demo model.",
        "make run",
    ),
    Fact(
        (
            "How do I run the tests?",
            "How can I test Gale?",
            "How do I test Gale?",
            "Which make command runs the tests?",
            "How are the tests run?",
        ),
        "How can I run the tests?",
        "Type make test. It builds Gale and runs every test.",
        "make test",
    ),
    Fact(
        (
            "Which files can Gale open?",
            "Which model files does Gale read?",
            "What formats does Gale read?",
            "Which model formats can Gale open?",
        ),
        "What model files can Gale open?",
        "Gale opens safetensors and GGUF files.",
        "GGUF",
    ),
    Fact(
        (
            "Where is the gale program?",
            "Where is the binary?",
            "Where does the build put gale?",
            "Which file is the gale binary?",
        ),
        "Where is the gale binary?",
        "The binary is build/release/gale.",
        "build/release/gale",
    ),
    Fact(
        (
            "Which port does the server use?",
            "What is the port of the server?",
            "On which port does gale serve listen?",
            "What port does gale serve use?",
        ),
        "Which port does gale serve use?",
        "The server listens on port 1234.",
        "1234",
    ),
    Fact(
        (
            "Which model needs no download?",
            "Is there a model without a download?",
            "What is the name of the small model?",
            "Which model comes with Gale?",
        ),
        "Which model comes without a download?",
        "The model called demo comes with Gale.",
        "demo",
    ),
    Fact(
        (
            "Where is the demo model?",
            "Where does the demo model live?",
            "Which folder holds the demo model?",
            "In which folder is the demo model?",
        ),
        "Where can I find the demo model?",
        "The demo model is in models/demo.",
        "models/demo",
    ),
    Fact(
        (
            "How do I get random weights?",
            "Can I bench a model without its weights?",
            "Which model name gives random weights?",
            "How can I test speed without a download?",
        ),
        "How can I get random weights?",
        "Use random:SHAPE as the model, for example random:llama-3.2-1b.",
        "random:",
    ),
    Fact(
        (
            "What is the exit code of a usage error?",
            "Which exit code means a usage error?",
            "What does exit code 2 mean?",
            "What exit code does a usage error give?",
        ),
        "Which exit code does a usage error have?",
        "A usage error exits with 2.",
        "2",
    ),
    Fact(
        (
            "How do I quantize with an importance matrix?",
            "Which flag gives quantize an importance matrix?",
            "How does quantize use an importance matrix?",
            "Which flag takes the importance matrix?",
        ),
        "Which flag gives an importance matrix to quantize?",
        "Use gale quantize with --imatrix FILE.",
        "--imatrix",
    ),
    Fact(
        (
            "Which variables set the flags of gale?",
            "Can I set flags by environment variables?",
            "How are the environment variables called?",
            "Which environment variables does Gale read?",
        ),
        "Which environment variables set flags?",
        "Every flag has a variable that starts with GALE_.",
        "GALE_",
    ),
    Fact(
        (
            "Are the answers of Gale bit-identical?",
            "What does bit-identical mean?",
            "What does Gale promise?",
            "Does a batch change the answer?",
        ),
        "What is the promise of Gale?",
        "The same request with the same seed gives the same tokens, alone or in a batch.",
        "same tokens",
    ),
    Fact(
        (
            "Where are the models in the code?",
            "Which folder holds the model families?",
            "Where is the code of the models?",
            "In which folder are the model families?",
        ),
        "Which folder has the model families?",
        "The model families are in src/models.",
        "src/models",
    ),
    Fact(
        (
            "Where are the kernels?",
            "Which folder holds the kernels?",
            "Where is the code of the kernels?",
            "In which folder are the kernels?",
        ),
        "Which folder has the kernels?",
        "The kernels are in src/kernels.",
        "src/kernels",
    ),
)


def command_facts():
    facts = []
    for name, (does, form, tasks, held_out) in COMMANDS.items():
        asks = []
        for task in tasks:
            asks += [f"[Which|What] command {task}?", f"[Which|What] gale command {task}?"]
        facts.append(Fact(tuple(asks), f"Which command {held_out}?", form, form))
        facts.append(
            Fact(
                (
                    f"What does gale {name} do?",
                    f"What is gale {name} for?",
                    f"Explain gale {name}.",
                    f"What does the command gale {name} do?",
                    f"What does {name} do?",
                ),
                f"Tell me what gale {name} does.",
                f"gale {name} {does}.",
                does,
            )
        )
    return facts


def flag_facts():
    facts = []
    for flag, (sets, held_out, ways) in FLAGS.items():
        asks = [f"Which [flag|option] [sets|gives|is for] {way}?" for way in ways]
        asks += [f"[What is|Tell me] the flag for {way}?" for way in ways]
        facts.append(Fact(tuple(asks), f"Which option is there for {held_out}?", f"Use {flag} for {sets}.", flag))
        facts.append(
            Fact(
                (f"What does {flag} do?", f"What is {flag} for?", f"Explain {flag}.", f"What does the flag {flag} do?"),
                f"Tell me what {flag} is for.",
                f"Use {flag} for {sets}.",
                sets,
            )
        )
    return facts


def gale_facts():
    return [*GALE, *command_facts(), *flag_facts()]
