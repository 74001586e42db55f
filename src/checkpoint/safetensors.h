#pragma once
#include <cstddef>
#include <filesystem>
#include <memory>
#include <span>
#include <string_view>
#include <vector>

#include "checkpoint/checkpoint.h"

namespace gale {

/// The tensors of a safetensors file that lies in memory, in the order of its header. Format:
/// https://github.com/huggingface/safetensors#format. As the format demands, the data has neither holes nor overlaps and ends
/// where the file ends. Tensors of more than Shape::kMaxDims dimensions (3-D convolutions) have their last ones folded into one.
/// `name` is the file's name for messages; `owner` keeps `file` alive.
/// Throws Error{corrupt}, or Error{unsupported} for a dtype Gale does not know.
std::vector<RawTensor> parse_safetensors(std::span<const std::byte> file, std::shared_ptr<const void> owner,
                                         std::string_view name);

/// The same from a file on disk, mapped.
std::vector<RawTensor> open_safetensors(const std::filesystem::path& path);

/// All tensors of a sharded checkpoint through its model.safetensors.index.json. Where a tensor lies in several shards the index
/// decides. Throws Error{not_found} naming a missing shard, Error{corrupt} for a tensor that its shard lacks and for shard names
/// that lead out of the folder. `files`, if given, gets the index and the shards.
std::vector<RawTensor> open_safetensors_index(const std::filesystem::path& index,
                                              std::vector<std::filesystem::path>* files = nullptr);

}  // namespace gale
