#pragma once
#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
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
    int64_t columns = 0;        ///< 0 where the file does not say
  };
  /// By name: that of a tensor in a GGUF ("blk.0.attn_q.weight"), or of a module in Hugging Face's terms
  /// ("model.layers.0.self_attn.q_proj").
  std::map<std::string, Entry, std::less<>> entries;
  std::vector<std::string> datasets;  ///< what it was made from
  int64_t chunks = 0, chunk_tokens = 0;
  std::string source;  ///< the file, for messages

  /// Mean squares, f32 [columns], of the entry `name`; `expert`: of which of its matrices, where it is of several. Empty where
  /// there is no such entry, or where nothing ever went in. Throws Error{invalid_argument} where the entry is of other matrices.
  std::vector<float> means(std::string_view name, std::optional<int64_t> expert, int64_t columns) const;
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
