#pragma once
#include <string>
#include <string_view>
#include <vector>

#include "quant/format.h"

namespace gale {

/// Which tensor of a model gets which format when the model is quantized: what `--type` and `--quant` name.
///
/// A plain type ("q4_0", "q8_0", "bf16" ...) is one format for every matrix. A mix ("q4_k_m", "q5_k_s" ...) spends more bits
/// where they help most, as llama.cpp's mixes of those names do: in "q4_k_m" and "q5_k_m" the value and down projections of the
/// first and last eighth of the layers and of every third between are q6_k; in "q4_k_s" the value projections of the first four
/// layers and the down projections of the first eighth are q5_k; "q5_k_s" and "q3_k_s" are one format throughout. In "q3_k_m" and
/// "q3_k_l" value, down and output projections are q4_k and q5_k, the first ones of "q3_k_m" q5_k too; in "q2_k" they are q3_k,
/// and q4_k where many queries share a value; in "q2_k_s" only the latter and the first eighth of the down projections are q4_k.
/// The iq types give the same tensors and the embedding more, as policy.cpp lists; ternary types leave the embedding in q4_k.
/// Everywhere the head, or the embedding that serves as one, has at least q6_k, and vectors, norms, biases and routers stay f32.
class QuantPolicy {
 public:
  /// What is known of a tensor.
  struct Tensor {
    std::string_view name;  ///< Hugging Face's: "model.layers.0.self_attn.v_proj.weight"
    int64_t rows = 0, columns = 0;
    int layer = -1, layers = 0;  ///< -1 outside the layers
    bool tied_head = false;      ///< of the model: the embedding is the head
  };

  struct Choice {
    const Format* format;
    /// What the policy wanted where `format` only stands in because its blocks do not divide the columns; else nullptr.
    const Format* instead_of = nullptr;
  };

  /// By name, any case, or by a number of bits: "2" is q2_k, "3" q3_k_m, "4" q4_k_m, "5" q5_k_m, "6" q6_k, "8" q8_0. Throws
  /// Error{invalid_argument} listing the names.
  static QuantPolicy named(std::string_view name);
  static bool is_named(std::string_view name);
  /// All names, plain types first.
  static std::vector<std::string_view> names();

  std::string_view name() const { return name_; }
  /// Where the columns are not a multiple of the wanted format's blocks: q8_0, and where they are not of 32 either, f16.
  Choice choose(const Tensor& tensor) const;
  /// Vectors, norms, biases and routers stay f32 whatever is asked for.
  static bool stays_f32(const Tensor& tensor);
  /// For a tensor that somebody asked to have in this type: a plain type is that type for heads and embeddings too.
  Choice pin(const Tensor& tensor) const;

  struct Mix;

 private:
  const Format* wanted(const Tensor& tensor) const;
  static Choice fitting(const Format* format, const Tensor& tensor);
  const Format* at_least(const Format& other) const;

  std::string_view name_;
  const Format* base_ = nullptr;
  const Mix* mix_ = nullptr;  // nullptr for a plain type
};

/// Gathers the tensors whose blocks did not fit, so that a model with hundreds of them leads to one message.
class QuantFallbacks {
 public:
  void add(const QuantPolicy::Tensor& tensor, const QuantPolicy::Choice& choice);
  /// One line, "" where every tensor got the format wanted.
  std::string message() const;

 private:
  int64_t tensors_ = 0;
  std::string first_;
};

}  // namespace gale
