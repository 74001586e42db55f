#!/usr/bin/env python3
"""Writes src/quant/iq_grids.cpp: the codebooks that define GGUF's iq1, iq2 and iq3 types, as the gguf package publishes them
(pip install gguf numpy).

    python3 tools/make_iq_grids.py > src/quant/iq_grids.cpp
"""
import gguf.quants as quants
import numpy as np

GRIDS = (
    ("kGridIq1", quants.IQ1_S, "iq1_s and iq1_m: -1, 0 and 1"),
    ("kGridIq2Xxs", quants.IQ2_XXS, "iq2_xxs: 8, 25 and 43"),
    ("kGridIq2Xs", quants.IQ2_XS, "iq2_xs: the same"),
    ("kGridIq2S", quants.IQ2_S, "iq2_s: the same"),
    ("kGridIq3Xxs", quants.IQ3_XXS, "iq3_xxs: 4, 12, 20, 28, 36, 44, 52 and 62"),
    ("kGridIq3S", quants.IQ3_S, "iq3_s: 1, 3, 5, 7, 9, 11, 13 and 15"),
)


def main():
    print('#include "quant/iq_grids.h"\n\n// Made by tools/make_iq_grids.py.\nnamespace gale {\n')
    for name, kind, values in GRIDS:
        kind.init_grid()
        points = kind.grid.reshape(kind.grid_shape)
        order = {value: i for i, value in enumerate(kind.grid_map)}
        bits = 16 // points.shape[1]
        words = [sum(order[value] << (bits * i) for i, value in enumerate(point)) for point in points.tolist()]
        print(f"// {values}")
        print(f"const uint16_t {name}[{len(words)}] = {{\n    // clang-format off")
        for i in range(0, len(words), 16):
            print("    " + ", ".join(f"0x{word:04x}" for word in words[i : i + 16]) + ",")
        print("    // clang-format on\n};\n")
    print("}  // namespace gale")


if __name__ == "__main__":
    main()
