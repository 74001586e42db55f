#pragma once
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "checkpoint/checkpoint.h"

namespace gale {

class ThreadPool;

/// The sizes of a model, as its config.json has them.
struct RandomShape {
  std::string_view name;  ///< "llama-3.2-1b"
  std::string_view architecture;
  int64_t hidden, layers, heads, kv_heads, head_dim, intermediate, vocab, positions;
  double rope_theta;
  double rms_norm_eps = 1e-5;
  double llama3_factor = 0;  ///< of llama3's rope scaling, 0: none
  bool tied = false;
  bool qkv_bias = false;
  bool qk_norm = false;
  int64_t experts = 0, experts_used = 0;  ///< in every layer, by one token; 0: one MLP, of the width `intermediate`
  int64_t expert_intermediate = 0;
};

/// The shapes "random:SHAPE" takes.
std::span<const RandomShape> random_shapes();
/// By name, any case. Throws Error{invalid_argument} listing the names.
const RandomShape& find_random_shape(std::string_view name);

/// A checkpoint of that shape with random weights in a type or mix ("" is q8_0), their block bytes drawn directly: valid, the
/// same for the same seed whatever the threads, of a size that keeps activations sane. It has no tokenizer.
/// Throws Error{out_of_memory} where it would not fit what is free.
std::shared_ptr<const Checkpoint> random_checkpoint(const RandomShape& shape, std::string_view type, ThreadPool& pool,
                                                    uint64_t seed = 0);

}  // namespace gale
