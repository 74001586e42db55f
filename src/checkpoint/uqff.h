#pragma once
#include <filesystem>
#include <span>
#include <string_view>
#include <vector>

#include "checkpoint/checkpoint.h"

namespace gale {

/// UQFF 1.x, mistral.rs's files of quantized layers (docs/.../reference/uqff-format.md and mistralrs-quant/src/uqff there).
/// Shards "<stem>-<n>.uqff" are safetensors files. Each has u32 numbers "uqff.version.{major,minor,patch}"; each layer is
///   <key>.weight.format  u8: which of the seven families below
///   <key>.weight         and "<key>.weight.<...>" as the family has them
///   <key>.bias           where it has one
/// Unquantized tensors lie in residual.safetensors beside them.
///
/// Each layer becomes what the same values are in other files, so that no format of quant/ knows of UQFF:
///   0 GGUF   dtype (ggml's number), shape           -> a tensor of that type
///   1 plain                                         -> the tensor
///   2 HQQ    scales, zeros, shape, bits, axis ...   -> W_q, scale, zero, shape, nbits, axis, group_size
///   3 FP8    dequant_w_scale ...                    -> weight, weight_scale
///   4 AFQ    scales, biases, bits, group_size       -> weight, scales, biases, group_size
///   5 F8Q8   num_blocks, shape                      -> a tensor of type f8q8
///   6 MXFP4  scales                                 -> blocks, scales
/// Experts, stacked in one layer, become one weight each where a weight is several tensors.
/// `name` is for messages. Throws Error{corrupt} for layers that contradict themselves, Error{unsupported} for files of other
/// versions and families.
std::vector<RawTensor> translate_uqff(std::vector<RawTensor> tensors, std::string_view name);

/// All shards of the set that `file` is one of, and residual.safetensors. `read` gets the files.
/// Throws Error{not_found} naming what is missing.
std::vector<RawTensor> open_uqff(const std::filesystem::path& file, std::vector<std::filesystem::path>& read);

/// Of the .uqff files of a folder the first shard of each set.
std::vector<std::string> uqff_sets(std::span<const std::string> names);

}  // namespace gale
