#!/usr/bin/env python3
"""Writes hf_vectors.txt: weights as the formats of safetensors checkpoints store them, and their values, by the formats' definitions
and not by Gale's code (pip install numpy torch "mlx[cpu]").

<name> <format> <layout, _ for spaces> <config, JSON, or -> <out> <in> <parts> [<suffix> <dtype> <shape, 2x3 or -> <hex>]...
<the first 32 values, f32, hex> <FNV-1a of the bytes of all values, 64 bits, hex>

    python3 make_hf_vectors.py > hf_vectors.txt
"""
import json

import numpy as np
import torch

NAMES = {"uint8": "U8", "int8": "I8", "int32": "I32", "uint32": "U32", "int64": "I64", "float16": "F16", "float32": "F32",
         "bfloat16": "BF16", "float8_e4m3fn": "F8_E4M3", "float8_e5m2": "F8_E5M2"}


def part(value):
    """-> dtype, shape, hex of a numpy array or a torch tensor."""
    if isinstance(value, torch.Tensor):
        name, shape = str(value.dtype).removeprefix("torch."), value.shape
        data = value.contiguous().view(torch.uint8).numpy().tobytes() if value.dim() else value.reshape(1).view(torch.uint8).numpy().tobytes()
    else:
        value = np.asarray(value)
        name, shape, data = value.dtype.name, value.shape, np.ascontiguousarray(value).tobytes()
    return NAMES[name], "x".join(map(str, shape)) or "-", data.hex()


def fnv1a(data):
    hash = 0xCBF29CE484222325
    for byte in data:
        hash = (hash ^ byte) * 0x100000001B3 & 0xFFFFFFFFFFFFFFFF
    return hash


def write(name, format, layout, config, parts, values):
    values = np.ascontiguousarray(np.asarray(values, np.float32))
    texts = [word for suffix, value in parts.items() for word in (suffix, *part(value))]
    print(name, format, layout.replace(" ", "_"), "-" if config is None else json.dumps(config, separators=(",", ":")), *values.shape,
          len(parts), *texts, values.reshape(-1)[:32].tobytes().hex(), f"{fnv1a(values.tobytes()):016x}")


def f32(tensor):
    return tensor.to(torch.float32).numpy()


def floats8(rng, shape, dtype):
    """Any 8-bit floats but NaN and infinities."""
    bytes = rng.integers(0, 256, shape, np.uint8)
    least = 0x7C if dtype is torch.float8_e5m2 else 0x7F
    bytes = np.where((bytes & 0x7F) >= least, 0x3A, bytes).astype(np.uint8)
    return torch.from_numpy(bytes).view(dtype)


def fp8(rng):
    """DeepSeek-V3, inference/kernel.py, weight_dequant: y = x.to(float32) * s, s for each block; compressed-tensors and ModelOpt the
    same with a scale for each output or one for all."""
    e4m3, e5m2 = torch.float8_e4m3fn, torch.float8_e5m2
    scale = lambda *shape: rng.uniform(1e-4, 3e-2, shape).astype(np.float32)
    block = {"quant_method": "fp8", "weight_block_size": [128, 128], "activation_scheme": "dynamic"}
    for name, out, columns, layout in (("fp8_block", 129, 32, "e4m3 g32 f32"), ("fp8_block_wide", 7, 320, "e4m3 g64 f32"),
                                       ("fp8_block_odd", 5, 150, "f32")):
        w, s = floats8(rng, (out, columns), e4m3), scale(-(-out // 128), -(-columns // 128))
        each = np.repeat(np.repeat(s, 128, 0), 128, 1)[:out, :columns]
        write(name, "fp8_hf", layout, block, {"weight": w, "weight_scale_inv": s}, f32(w) * each)
    w, s = floats8(rng, (6, 64), e4m3), scale()
    write("fp8_tensor", "fp8_hf", "e4m3 g64 f32", {"quant_method": "fp8", "activation_scheme": "static"},
          {"weight": w, "weight_scale": s, "input_scale": scale()}, f32(w) * s)
    w, s = floats8(rng, (19, 96), e4m3), torch.from_numpy(scale(19, 1)).to(torch.bfloat16)
    write("fp8_channel", "fp8_hf", "e4m3 g32 f32", {"quant_method": "compressed-tensors", "format": "float-quantized"},
          {"weight": w, "weight_scale": s}, f32(w) * f32(s))
    w, s = floats8(rng, (3, 256), e4m3), scale(3)
    write("fp8_channel_flat", "fp8_hf", "e4m3 g256 f32", {"quant_method": "fbgemm_fp8"}, {"weight": w, "weight_scale": s}, f32(w) * s[:, None])
    w = floats8(rng, (4, 128), e5m2)
    write("fp8_e5m2", "fp8_hf", "e5m2 g128 f32", None, {"weight": w}, f32(w))


def bits_to_words(codes, bits):
    """Codes along the last axis, one after another from the lowest bit on, as little-endian int32 words; the end filled up with zeros."""
    codes = np.asarray(codes, np.int64)
    stream = (codes[..., None] >> np.arange(bits) & 1).reshape(*codes.shape[:-1], -1)
    stream = np.concatenate([stream, np.zeros((*stream.shape[:-1], -stream.shape[-1] % 32), np.int64)], -1)
    return (stream.reshape(*stream.shape[:-1], -1, 32) << np.arange(32)).sum(-1).astype(np.uint32).view(np.int32)


def awq(rng):
    """AutoAWQ, awq/modules/linear/gemm.py: order_map = [0, 2, 4, 6, 1, 3, 5, 7] along the outputs; gemv.py: along the inputs, in order,
    zeros and scales filled up to calculate_zeros_width()."""
    order = [0, 2, 4, 6, 1, 3, 5, 7]
    pack_outputs = lambda codes: bits_to_words(codes.reshape(*codes.shape[:-1], -1, 8)[..., order].reshape(codes.shape), 4)
    for name, out, columns, size, layout, dtype in (("awq_gemm", 24, 96, 32, "u4 g32 f16 zeros", np.float16),
                                                    ("awq_gemm_row", 16, 128, -1, "u4 g128 f16 zeros", np.float16),
                                                    ("awq_bf16", 16, 128, 64, "u4 g64 bf16 real zeros", torch.bfloat16)):
        size_ = columns if size == -1 else size
        groups = columns // size_
        codes, zeros = rng.integers(0, 16, (columns, out)), rng.integers(0, 16, (groups, out))
        scales = rng.normal(0, 0.01, (groups, out)).astype(np.float16)
        if dtype is torch.bfloat16:
            scales = torch.from_numpy(scales).to(torch.bfloat16)
        each = f32(scales) if dtype is torch.bfloat16 else scales.astype(np.float32)
        values = np.repeat(each, size_, 0) * (codes - np.repeat(zeros, size_, 0)).astype(np.float32)
        config = {"quant_method": "awq", "bits": 4, "group_size": size, "version": "gemm", "zero_point": True}
        write(name, "awq", layout, config, {"qweight": pack_outputs(codes), "qzeros": pack_outputs(zeros), "scales": scales}, values.T)
    for name, columns, size, multiplier in (("awq_gemv", 256, 128, 1), ("awq_gemv_64", 192, 64, 2)):
        groups, out = columns // size, 5
        width = -(-(-(-groups // 8)) // multiplier) * multiplier
        codes, zeros = rng.integers(0, 16, (out, columns)), rng.integers(0, 16, (out, groups))
        scales = np.zeros((out, width * 8), np.float16)
        scales[:, :groups] = rng.normal(0, 0.01, (out, groups))
        values = np.repeat(scales[:, :groups].astype(np.float32), size, 1) * (codes - np.repeat(zeros, size, 1)).astype(np.float32)
        config = {"quant_method": "awq", "bits": 4, "group_size": size, "version": "gemv", "zero_point": True}
        filled = np.concatenate([zeros, np.zeros((out, width * 8 - groups), np.int64)], 1)
        write(name, "awq", f"u4 g{size} f16 zeros", config,
              {"qweight": bits_to_words(codes, 4), "qzeros": bits_to_words(filled, 4), "scales": scales}, values)


def compressed_tensors(rng):
    """compressed_tensors/compressors/pack_quantized: codes 2^(bits - 1) more than they mean; zeros packed down the outputs; 8-bit
    integers as they are. quantization/lifecycle/forward.py, _dequantize: (q - zero) * scale, here in f32."""
    def config(form, bits, strategy, symmetric=True):
        return {"quant_method": "compressed-tensors", "format": form, "config_groups": {"group_0": {
            "targets": ["Linear"], "weights": {"num_bits": bits, "type": "int", "symmetric": symmetric, "strategy": strategy}}}}
    for name, bits, out, columns, groups, symmetric, layout in (
            ("ct_int4", 4, 6, 256, 2, True, "u4 g128 bf16"), ("ct_int4_channel", 4, 5, 160, 1, True, "u4 g32 bf16"),
            ("ct_int4_zeros", 4, 10, 128, 2, False, "u4 g64 bf16 real zeros"), ("ct_int8", 8, 6, 128, 1, True, "u8 g128 bf16"),
            ("ct_int8_zeros", 8, 6, 96, 3, False, "u8 g32 bf16 real zeros")):
        half = 1 << (bits - 1)
        q, zero = rng.integers(-half, half, (out, columns)), rng.integers(-half, half, (out, groups)) if not symmetric else 0
        scale = torch.from_numpy(rng.normal(0, 0.01, (out, groups)).astype(np.float32)).to(torch.bfloat16)
        each = lambda per_group: np.repeat(per_group, columns // groups, 1)
        parts = {"weight_packed": bits_to_words(q + half, bits), "weight_scale": scale, "weight_shape": np.array([out, columns], np.int64)}
        if not symmetric:
            parts["weight_zero_point"] = np.ascontiguousarray(bits_to_words((zero + half).T, bits).T)
        values = (q - (each(zero) if not symmetric else 0)).astype(np.float32) * each(f32(scale))
        write(name, "compressed_tensors", layout, config("pack-quantized", bits, "group", symmetric), parts, values)
    q, scale = rng.integers(-128, 128, (19, 64)).astype(np.int8), rng.normal(0, 0.01, (19, 1)).astype(np.float32)
    write("ct_w8a8", "compressed_tensors", "u8 g64 f32", config("int-quantized", 8, "channel"),
          {"weight": q, "weight_scale": scale}, q.astype(np.float32) * scale)
    q, scale = rng.integers(-128, 128, (3, 256)).astype(np.int8), np.array([0.0123], np.float32)
    write("ct_w8a8_tensor", "compressed_tensors", "u8 g256 f32", config("int-quantized", 8, "tensor"),
          {"weight": q, "weight_scale": scale}, q.astype(np.float32) * scale)


NF4 = np.array([-1.0, -0.6961928009986877, -0.5250730514526367, -0.39491748809814453, -0.28444138169288635, -0.18477343022823334,
                -0.09105003625154495, 0.0, 0.07958029955625534, 0.16093020141124725, 0.24611230194568634, 0.33791524171829224,
                0.44070982933044434, 0.5626170039176941, 0.7229568362236023, 1.0], np.float32)
FP4 = np.array([0, 0.0625, 8.0, 12.0, 4.0, 6.0, 2.0, 3.0, -0.0, -0.0625, -8.0, -12.0, -4.0, -6.0, -2.0, -3.0], np.float32) / np.float32(12)


def bitsandbytes(rng):
    """bitsandbytes/functional.py, create_normal_map and get_4bit_type give the tables; csrc/kernels.cu, kDequantizeBlockwise the order of
    nibbles; QuantState.from_dict the nested form."""
    nf4, fp4 = NF4, FP4
    for name, kind, out, columns, block, nested, layout in (
            ("bnb_nf4", "nf4", 5, 128, 64, 0, "nf4 g64 f32"), ("bnb_nf4_crossing", "nf4", 6, 96, 64, 0, "nf4 g32 f32"),
            ("bnb_nf4_nested", "nf4", 20, 96, 32, 16, "nf4 g32 f32"), ("bnb_nf4_nested_default", "nf4", 5, 64, 64, 256, "nf4 g64 f32"),
            ("bnb_nf4_odd", "nf4", 3, 50, 64, 0, "f32"), ("bnb_fp4", "fp4", 4, 256, 256, 0, "fp4 g256 f32")):
        table = nf4 if kind == "nf4" else fp4
        n, codes = out * columns, rng.integers(0, 16, out * columns)
        blocks = -(-n // block)
        state = {"quant_type": kind, "blocksize": block, "dtype": "bfloat16", "shape": [out, columns]}
        parts = {"weight": np.uint8(codes[0::2] << 4 | codes[1::2])[:, None], "weight.quant_map": table}
        if nested:
            map2 = np.sort(rng.uniform(-1, 1, 256)).astype(np.float32)
            inner, outer = rng.integers(0, 256, blocks).astype(np.uint8), rng.uniform(0, 0.02, -(-blocks // nested)).astype(np.float32)
            offset = np.float32(0.03125)
            absmax = map2[inner] * np.repeat(outer, nested)[:blocks] + offset
            state |= {"nested_offset": float(offset), "nested_dtype": "float32"} | ({"nested_blocksize": nested} if nested != 256 else {})
            parts |= {"weight.absmax": inner, "weight.nested_absmax": outer, "weight.nested_quant_map": map2}
        else:
            absmax = parts["weight.absmax"] = rng.uniform(0, 0.1, blocks).astype(np.float32)
        parts[f"weight.quant_state.bitsandbytes__{kind}"] = np.frombuffer(json.dumps(state).encode(), np.uint8)
        values = table[codes] * np.repeat(absmax, block)[:n]
        write(name, "bitsandbytes", layout, {"quant_method": "bitsandbytes", "load_in_4bit": True}, parts, values.reshape(out, columns))
    q, scb = rng.integers(-127, 128, (18, 64)).astype(np.int8), rng.uniform(0, 1, 18).astype(np.float32)
    write("bnb_int8", "bnb_int8", "u8 g64 f32", {"quant_method": "bitsandbytes", "load_in_8bit": True},
          {"weight": q, "SCB": scb, "weight_format": np.array(0, np.uint8)}, (scb / np.float32(127))[:, None] * q.astype(np.float32))


def hqq(rng):
    """hqq/core/quantize.py, Quantizer.quantize: reshape, groups along `axis`; bitpack.py: pack_*; dequantize: (W_q - zero) * scale."""
    scalar = lambda x: np.array(x, np.int32)
    for name, bits, axis, out, columns, size, dtype, layout in (
            ("hqq4", 4, 1, 6, 128, 64, torch.float16, "u4 g64 f16 real zeros"), ("hqq4_bf16", 4, 1, 6, 96, 32, torch.bfloat16, "u4 g32 bf16 real zeros"),
            ("hqq8", 8, 1, 4, 64, None, torch.float32, "u8 g64 f32 real zeros"), ("hqq2", 2, 1, 8, 64, 32, torch.float16, "u2 g32 f16 real zeros"),
            ("hqq1", 1, 1, 8, 64, 32, torch.float16, "u2 g32 f16 real zeros"), ("hqq3", 3, 1, 7, 96, 32, torch.float16, "u3 g32 f16 real zeros"),
            ("hqq4_axis0", 4, 0, 8, 64, 16, torch.float16, "f32"), ("hqq3_axis0", 3, 0, 8, 32, 64, torch.bfloat16, "f32"),
            ("hqq4_narrow", 4, 1, 4, 64, 16, torch.float16, "f32"), ("hqq4_down", 4, 0, 256, 32, 16, torch.float16, "u4 down g16 f16 real zeros"),
            ("hqq4_down_often", 4, 0, 64, 64, 16, torch.bfloat16, "u4 down g4 bf16 real zeros"),
            ("hqq3_down", 3, 0, 128, 32, 64, torch.bfloat16, "u3 down g8 bf16 real zeros"),
            ("hqq2_down", 2, 0, 192, 32, 12, torch.float16, "u2 down g4 f16 real zeros"),
            ("hqq1_down", 1, 0, 128, 64, 8, torch.float16, "u2 down g8 f16 real zeros"),
            ("hqq8_down", 8, 0, 64, 32, None, torch.float32, "u8 down g4 f32 real zeros")):
        n = out * columns
        each = size if size else (columns if axis == 1 else out)
        shape = (n // each, each) if axis == 1 else (each, n // each)
        codes = rng.integers(0, 1 << bits, shape)
        scale = torch.from_numpy(rng.uniform(0, 0.02, (shape[0], 1) if axis == 1 else (1, shape[1])).astype(np.float32)).to(dtype)
        zero = torch.from_numpy(rng.uniform(0, (1 << bits) - 1, scale.shape).astype(np.float32)).to(dtype)
        values = (codes.astype(np.float32) - f32(zero)) * f32(scale)
        together = 10 if bits == 3 else 8 // bits
        step = -(-shape[0] // together)
        filled = np.concatenate([codes, np.zeros((step * together - shape[0], shape[1]), np.int64)])
        words = sum(filled[i * step:(i + 1) * step] << (bits * (together - 1 - i)) for i in range(together))
        parts = {"W_q": words.astype(np.int32 if bits == 3 else np.uint8), "scale": scale, "zero": zero, "nbits": scalar(bits), "axis": scalar(axis),
                 "shape": np.array([out, columns], np.int64), "view_as_float": np.array(0, np.uint8), "round_zero": np.array(0, np.uint8)}
        if size:
            parts["group_size"] = scalar(size)
        write(name, "hqq", layout, {"quant_method": "hqq"}, parts, values.reshape(out, columns))


def hqq_nested(rng):
    """HQQLinear.quantize: scales and zeros quantized by Quantizer.quantize in their turn; of zeros not channel_wise: one scale for all, no
    groups. In f32, as here; HQQ itself computes in half precision."""
    scalar = lambda x: np.array(x, np.int32)

    def pack(codes, bits):  # 2, 4 and 8 bits
        together, step = 8 // bits, -(-codes.shape[0] // (8 // bits))
        filled = np.concatenate([codes, np.zeros((step * together - codes.shape[0], codes.shape[1]), np.int64)])
        return sum(filled[i * step:(i + 1) * step] << (bits * (together - 1 - i)) for i in range(together)).astype(np.uint8)

    def numbers(name, n, bits, size, low, high, axis):
        """[n, 1] numbers and the parts that stand for them."""
        codes = rng.integers(0, 1 << bits, (n, 1))
        shape = (1, 1) if size is None else (n // size, 1) if axis == 1 else (1, n // size)
        scale = torch.from_numpy(np.full(shape, (high - low) / ((1 << bits) - 1), np.float32) *
                                 rng.uniform(0.9, 1, shape).astype(np.float32)).half()
        zero = torch.from_numpy(np.full(shape, -low / (high - low) * ((1 << bits) - 1), np.float32)).half()
        together = codes if size is None else codes.reshape((-1, size) if axis == 1 else (size, -1))
        values = ((together.astype(np.float32) - f32(zero)) * f32(scale)).reshape(n, 1)
        parts = {f"{name}_q": pack(together, bits), f"meta_{name}.scale": scale, f"meta_{name}.zero": zero, f"meta_{name}.nbits": scalar(bits),
                 f"meta_{name}.axis": scalar(axis), f"meta_{name}.shape": np.array([n, 1], np.int64)}
        if size:
            parts[f"meta_{name}.group_size"] = scalar(size)
        return values, parts

    out, columns, bits, size = 8, 256, 4, 64
    n = out * columns // size
    for name, zero_bits, scales in (("hqq4_zeros", 8, False), ("hqq4_both", 8, True), ("hqq4_zeros4", 4, True)):
        codes = rng.integers(0, 1 << bits, (n, size))
        zero, parts = numbers("zero", n, zero_bits, None, 0, 15, 0)
        if scales:
            scale, more = numbers("scale", n, 8, 16, 0.001, 0.02, 1 if zero_bits == 8 else 0)
            parts |= more
        else:
            scale = rng.uniform(0.001, 0.02, (n, 1)).astype(np.float32)
            parts["scale"] = torch.from_numpy(scale)
        values = (codes.astype(np.float32) - zero) * scale
        parts |= {"W_q": pack(codes, bits), "nbits": scalar(bits), "axis": scalar(1), "group_size": scalar(size), "shape": np.array([out, columns], np.int64),
                  "quant_zero": np.array(1, np.uint8), "quant_scale": np.array(int(scales), np.uint8)}
        write(name, "hqq", "u4 g64 f32 real zeros", {"quant_method": "hqq"}, parts, values.reshape(out, columns))


def afq(rng):
    """MLX, mlx/backend/metal/kernels/quantized.h: bits of 2, 4 and 8 from the lowest on in u32; of 3, 5 and 6 in bytes, little-endian, which
    in memory is the same stream. value = scale * code + bias."""
    for bits, out, columns, size, dtype in ((2, 5, 128, 64, torch.float16), (3, 4, 64, 32, torch.bfloat16), (4, 18, 64, 64, torch.bfloat16),
                                            (5, 4, 128, 128, torch.float16), (6, 4, 64, 32, torch.float16), (8, 4, 128, 64, torch.float32)):
        groups = columns // size
        codes = rng.integers(0, 1 << bits, (out, columns))
        scale = torch.from_numpy(rng.uniform(-0.02, 0.02, (out, groups)).astype(np.float32)).to(dtype)
        bias = torch.from_numpy(rng.uniform(-0.1, 0.1, (out, groups)).astype(np.float32)).to(dtype)
        each = lambda x: np.repeat(f32(x), size, 1)
        name = {torch.float16: "f16", torch.bfloat16: "bf16", torch.float32: "f32"}[dtype]
        write(f"afq{bits}", "afq", f"u{bits} g{size} {name} min", {"group_size": size, "bits": bits},
              {"weight": bits_to_words(codes, bits).view(np.uint32), "scales": scale, "biases": bias},
              each(scale) * codes.astype(np.float32) + each(bias))


# The kernels' table is of integers, which have no -0: code 8 is 0 as well.
E2M1 = np.array([0, 0.5, 1, 1.5, 2, 3, 4, 6, 0, -0.5, -1, -1.5, -2, -3, -4, -6], np.float32)


def low_first(codes):
    return (codes[..., 0::2] | codes[..., 1::2] << 4).astype(np.uint8)


def mxfp4(rng):
    """transformers/integrations/mxfp4.py, convert_moe_packed_tensors: idx_lo to even columns, idx_hi to odd ones, ldexp by scales - 127."""
    for name, names, shape, dtype in (("mxfp4_gpt_oss", ("blocks", "scales"), (5, 3, 16), np.uint8),
                                      ("mxfp4_packed", ("weight_packed", "weight_scale"), (17, 64), np.uint8),
                                      ("mxfp4_mlx", ("weight", "scales"), (4, 64), np.uint32)):
        out, columns = shape[0], int(np.prod(shape[1:])) * 2
        codes = rng.integers(0, 16, (out, columns)).astype(np.int64)
        exponents = rng.integers(100, 140, (out, columns // 32)).astype(np.uint8)
        exponents.flat[:3] = (0, 1, 252)
        values = np.ldexp(E2M1[codes], np.repeat(exponents.astype(np.int32), 32, 1) - 127)
        packed = low_first(codes).reshape(shape) if dtype is np.uint8 else low_first(codes).view(np.uint32)
        write(name, "mxfp4_ocp", "e2m1 g32 e8m0", {"quant_method": "mxfp4"}, {names[0]: packed, names[1]: exponents}, values)


def nvfp4(rng):
    """modelopt/torch/quantization/qtensor/nvfp4_tensor.py, dequantize: (scale.to(float32) * double_scale) * e2m1; compressed_tensors,
    quantization/lifecycle/forward_helpers.py, _dequantize: scale / global_scale, then times e2m1. Some values come out otherwise when the
    levels are folded or the division becomes a multiplication, which is checked here."""
    table = np.arange(127, dtype=np.uint8)
    e4m3 = f32(torch.from_numpy(table).view(torch.float8_e4m3fn))
    for name, columns, divided, layout in (("nvfp4_modelopt", 256, False, "e2m1 g16 e4m3 b256 f32"), ("nvfp4_ct", 128, True, "e2m1 g16 e4m3 b128 1/f32"),
                                           ("nvfp4_modelopt_64", 192, False, "e2m1 g16 e4m3 b64 f32"), ("nvfp4_odd", 48, True, "f32")):
        out = 6
        codes, subs = rng.integers(0, 16, (out, columns)).astype(np.int64), rng.integers(0, 127, (out, columns // 16)).astype(np.uint8)
        top = np.float32(rng.uniform(300, 900) if divided else rng.uniform(1e-4, 1e-3))
        scale = e4m3[subs] / top if divided else e4m3[subs] * top
        values = np.repeat(scale, 16, 1) * E2M1[codes]
        folded = (np.repeat(e4m3[subs], 16, 1) * E2M1[codes]) * (np.float32(1) / top if divided else top)
        assert (folded != values).any()
        codes_at, global_at = ("weight_packed", "weight_global_scale") if divided else ("weight", "weight_scale_2")
        write(name, "nvfp4_hf", layout, {"quant_method": "compressed-tensors" if divided else "modelopt"},
              {codes_at: low_first(codes), "weight_scale": torch.from_numpy(subs).view(torch.float8_e4m3fn),
               global_at: np.array([top]) if divided else np.array(top)}, values)


def gptq(rng):
    """AutoGPTQ, auto_gptq/nn_modules/qlinear/qlinear_cuda_old.py, pack: codes down the inputs, zeros along the outputs less one (v1), of 3
    bits over the borders of words. Four bits are in make_gptq_vectors.py."""
    for bits, size, dtype, v2, act_order, layout in ((2, 64, torch.float16, False, False, "u2 g64 f16 real zeros"), (3, 32, torch.float16, True, True, "u3 g32 f16 real zeros"),
                                                     (8, 128, torch.float16, False, False, "u8 g128 f16 real zeros"), (4, 64, torch.bfloat16, False, True, "u4 g64 bf16 real zeros"),
                                                     (8, 64, torch.float32, True, True, "u8 g64 f32 real zeros")):
        columns, out, lacking = 128, 32 if bits == 3 else 16, 0 if v2 else 1
        groups = columns // size
        codes, zeros = rng.integers(0, 1 << bits, (columns, out)), rng.integers(0, 1 << bits, (groups, out)) + lacking
        scales = torch.from_numpy(rng.normal(0, 0.01, (groups, out)).astype(np.float32)).to(dtype)
        g_idx = (np.arange(columns) // size).astype(np.int32)
        if act_order:
            rng.shuffle(g_idx)
        values = f32(scales)[g_idx] * (codes - zeros[g_idx]).astype(np.float32)
        config = {"quant_method": "gptq", "bits": bits, "group_size": size, "desc_act": act_order, "checkpoint_format": "gptq_v2" if v2 else "gptq"}
        write(f"gptq{bits}_{layout.split()[2]}", "gptq", layout, config,
              {"qweight": np.ascontiguousarray(bits_to_words(codes.T, bits).T), "qzeros": bits_to_words(zeros - lacking, bits), "scales": scales,
               "g_idx": g_idx}, values.T)


def marlin(rng):
    """IST-DASLab/marlin, marlin/__init__.py, _get_perms and pack, which AutoGPTQ's qlinear_marlin.py uses."""
    perm = []
    for i in range(32):
        one = [16 * row + i // 4 + 8 * block for block in (0, 1) for row in (2 * (i % 4), 2 * (i % 4) + 1, 2 * (i % 4 + 4), 2 * (i % 4 + 4) + 1)]
        for j in range(4):
            perm.extend(p + 256 * j for p in one)
    perm = np.array(perm).reshape(-1, 8)[:, [0, 2, 4, 6, 1, 3, 5, 7]].ravel()
    scale_perm = np.array([i + 8 * j for i in range(8) for j in range(8)])
    scale_perm_single = np.array([2 * i + j for i in range(4) for j in (0, 1, 8, 9, 16, 17, 24, 25)])
    for name, columns, size in (("gptq_marlin", 96, 32), ("gptq_marlin_row", 32, -1)):
        out, groups = 64, 1 if size == -1 else columns // size
        codes = rng.integers(0, 16, (columns, out))
        scales = rng.normal(0, 0.01, (groups, out)).astype(np.float16)
        values = np.repeat(scales.astype(np.float32), columns // groups, 0) * (codes - 8).astype(np.float32)
        order = scale_perm_single if size == -1 else scale_perm
        tiles = codes.reshape(columns // 16, 16, out // 16, 16).transpose(0, 2, 1, 3).reshape(columns // 16, out * 16)
        shuffled = tiles.reshape(-1, perm.size)[:, perm].reshape(tiles.shape)
        write(name, "gptq_marlin", "u4 g32 f16", {"quant_method": "gptq", "bits": 4, "group_size": size, "checkpoint_format": "marlin"},
              {"B": bits_to_words(shuffled, 4), "s": scales.reshape(-1, order.size)[:, order].reshape(groups, out),
               "workspace": np.zeros(8, np.int32)}, values.T)


def compressed_act_order(rng):
    """The same with "actorder": "group": compressed_tensors/quantization/lifecycle/forward.py sorts columns by weight_g_idx, stably,
    gives each run of the group's size its scale and zero, and sorts back."""
    out, columns, groups = 8, 128, 2
    q, zero = rng.integers(-8, 8, (out, columns)), rng.integers(-8, 8, (out, groups))
    scale = rng.normal(0, 0.01, (out, groups)).astype(np.float16)
    g_idx = rng.permutation(np.repeat(np.arange(groups), columns // groups)).astype(np.int32)
    order = np.argsort(g_idx, kind="stable")
    values = np.empty((out, columns), np.float32)
    for g in range(groups):
        at = order[g * 64 : (g + 1) * 64]
        values[:, at] = (q[:, at] - zero[:, g : g + 1]).astype(np.float32) * scale[:, g : g + 1].astype(np.float32)
    config = {"quant_method": "compressed-tensors", "format": "pack-quantized", "config_groups": {"group_0": {
        "weights": {"num_bits": 4, "group_size": 64, "strategy": "group", "symmetric": False, "actorder": "group"}}}}
    parts = {"weight_packed": bits_to_words(q + 8, 4), "weight_scale": scale, "weight_shape": np.array([out, columns], np.int64),
             "weight_zero_point": np.ascontiguousarray(bits_to_words((zero + 8).T, 4).T), "weight_g_idx": g_idx}
    write("ct_int4_act_order", "compressed_tensors", "u4 g64 f16 zeros", config, parts, values)
    del parts["weight_zero_point"]
    parts["weight_g_idx"] = np.full(columns, -1, np.int32)
    values = q.astype(np.float32) * np.repeat(scale.astype(np.float32), 64, 1)
    write("ct_int4_no_order", "compressed_tensors", "u4 g64 f16", config, parts, values)


def stored_as_floats(rng):
    """bnb_4bit_quant_storage: the bytes of the codes under another type."""
    table = np.array([0, 0.0625, 8.0, 12.0, 4.0, 6.0, 2.0, 3.0, -0.0, -0.0625, -8.0, -12.0, -4.0, -6.0, -2.0, -3.0], np.float32) / np.float32(12)
    for name, dtype in (("bf16", torch.bfloat16), ("f32", torch.float32)):
        codes, absmax = rng.integers(0, 16, 5 * 128), rng.uniform(0, 0.1, 10).astype(np.float32)
        state = {"quant_type": "fp4", "blocksize": 64, "dtype": "bfloat16", "shape": [5, 128]}
        weight = torch.from_numpy(np.uint8(codes[0::2] << 4 | codes[1::2])).view(dtype)[:, None]
        parts = {"weight": weight, "weight.absmax": absmax,
                 "weight.quant_state.bitsandbytes__fp4": np.frombuffer(json.dumps(state).encode(), np.uint8)}
        write(f"bnb_fp4_as_{name}", "bitsandbytes", "fp4 g64 f32", {"quant_method": "bitsandbytes"}, parts,
              (table[codes] * np.repeat(absmax, 64)).reshape(5, 128))


def mlx_modes(rng):
    """What MLX quantizes and reads itself, in the modes without biases."""
    import mlx.core as mx

    for name, format, layout, mode, bits, size, columns, largest in (
            ("mxfp8_mlx", "mxfp8", "e4m3 g32 f32", "mxfp8", 8, 32, 96, None),
            ("nvfp4_mlx", "nvfp4_hf", "e2m1 g16 e4m3 b128 f32", "nvfp4", 4, 16, 128, None),
            ("nvfp4_mlx_global", "nvfp4_hf", "e2m1 g16 e4m3 b64 f32", "nvfp4", 4, 16, 64, 0.3)):
        w = mx.array((rng.standard_normal((5, columns)) * 0.05).astype(np.float32))
        of_all = {} if largest is None else {"global_scale": mx.array(largest, mx.float32)}
        codes, scales = mx.quantize(w, group_size=size, bits=bits, mode=mode, **of_all)
        values = mx.dequantize(codes, scales, group_size=size, bits=bits, mode=mode, dtype=mx.float32, **of_all)
        parts = {"weight": np.array(codes), "scales": np.array(scales)} | {k: np.array(v) for k, v in of_all.items()}
        write(name, format, layout, {"group_size": size, "bits": bits, "mode": mode}, parts, np.array(values))


def main():
    for make in (fp8, awq, compressed_tensors, bitsandbytes, hqq, afq, mxfp4, nvfp4, gptq, marlin, compressed_act_order, stored_as_floats, hqq_nested,
                 mlx_modes):
        make(np.random.default_rng(2024))


if __name__ == "__main__":
    main()
