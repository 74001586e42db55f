#!/usr/bin/env python3
"""Writes gptq_rules.txt: what GPTQModel's "dynamic" makes of modules, by the definition of gptqmodel/quantization/config.py, dynamic_get: in the
order of the rules, re.match of the pattern, "-:" for modules that are left out.

<config, JSON without spaces> <module> <quantized, 0 or 1> <bits> <group_size> <desc_act, 0 or 1>

    python3 make_gptq_rules.py > gptq_rules.txt
"""
import json
import re

RULES = [
    {},
    {r".*\.18\..*gate.*": {"bits": 8, "group_size": 64}, r".*\.19\..*gate.*": {"bits": 3}, r"-:.*\.20\..*gate.*": {}, r"-:.*down.*": {}},
    {r"+:model\.layers\.(0|[1-3]\d)\.": {"bits": 2, "desc_act": True}, r".*": {"group_size": 128}, r"-:.*": {}},
    {r"layers\.0\.": {"bits": 8}, r"(model\.)?layers\.\d+\.self_attn": {"group_size": -1}, r"-:lm_head": None},
    {r"-:^(?!.*mlp).*$": {}, r"model\.layers\.18\.mlp\.up_proj": {"sym": False}},
]
MODULES = ["model.layers.0.self_attn.q_proj", "model.layers.18.mlp.gate_proj", "model.layers.19.mlp.gate_proj", "model.layers.20.mlp.gate_proj",
           "model.layers.20.mlp.down_proj", "model.layers.18.mlp.up_proj", "model.layers.1.mlp.experts.3.gate_proj", "lm_head"]
PLAIN = {"quant_method": "gptq", "bits": 4, "group_size": 32, "desc_act": False}

for rules in RULES:
    for module in MODULES:
        own, quantized = PLAIN, 1
        for pattern, other in rules.items():
            if re.match(pattern.removeprefix("-:").removeprefix("+:"), module):
                quantized = int(not pattern.startswith("-:"))
                own = PLAIN | (other or {})
                break
        print(json.dumps(PLAIN | {"dynamic": rules}, separators=(",", ":")), module, quantized, own["bits"], own["group_size"], int(own["desc_act"]))
