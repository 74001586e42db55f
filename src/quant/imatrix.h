#pragma once
#include <cstdint>
#include <filesystem>
#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace gale {

/// An importance matrix: for every weight the sum over calibration rows of the square of each input. The mean says how much an
/// error in a column costs, and weighs the errors of a quantizer. Kawrakow, "k-quants", llama.cpp pull request 4861, 2024.
struct ImportanceMatrix {
  struct Entry {
    std::vector<float> sums;    ///< [matrices, columns]: one matrix, or one for each expert
    std::vector<float> counts;  ///< rows seen: [matrices], or one for all of them
  };
  /// By name: that of a tensor in a GGUF ("blk.0.attn_q.weight"), or of a module in Hugging Face's terms
  /// ("model.layers.0.self_attn.q_proj").
  std::map<std::string, Entry, std::less<>> entries;
  std::vector<std::string> datasets;  ///< what it was made from
  int64_t chunks = 0, chunk_tokens = 0;
  std::string source;  ///< the file, for messages

  /// Mean squares, f32 [columns], of matrix `i` of the entry `name`. Empty where there is no such entry, where the entry has no
  /// matrix `i`, or where nothing ever went into it. Throws Error{invalid_argument} where the entry is of another width.
  std::vector<float> means(std::string_view name, int64_t i, int64_t columns) const;
};

/// Reads a GGUF of general.type "imatrix" (llama.cpp's since 2025), llama.cpp's older binary file, or by its ending a .cimatrix
/// of mistral.rs. Throws Error{not_found}, or Error{corrupt} naming the entry for what contradicts itself, is negative or no
/// number.
ImportanceMatrix read_imatrix(const std::filesystem::path& path);

/// Writes it; which of the three kinds the ending says: .gguf, .dat or .imatrix, .cimatrix. The file appears whole or not at all.
/// Throws Error{invalid_argument} for another ending.
void write_imatrix(const ImportanceMatrix& matrix, const std::filesystem::path& path);

/// What is wrong with the name of a file to write, "" where nothing is.
std::string imatrix_ending_problem(const std::filesystem::path& path);

}  // namespace gale
