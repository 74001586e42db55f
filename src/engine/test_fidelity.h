#pragma once
#include <cmath>
#include <cstdint>
#include <vector>

#include "engine/test_engine.h"
#include "tokenizer/tokenizer.h"

// How far a model is from another one, on texts that the bundled model writes itself.
namespace gale::testing {

/// A story of the bundled model.
inline std::vector<int32_t> write_story(Engine& engine, uint64_t seed) {
  Request request = greedy(engine.tokenizer()->encode("<|begin|>", {.add_special = false, .parse_special = true}), 120);
  request.sampling.temperature = 1;
  request.sampling.seed = seed;
  std::vector<int32_t> out = request.tokens;
  const auto tokens = read_all(*engine.submit(std::move(request))).tokens;
  out.insert(out.end(), tokens.begin(), tokens.end());
  return out;
}

/// Mean KL divergence of next-token distributions, from logits f32 [tokens, vocab] of each text.
inline double mean_kl(const std::vector<std::vector<float>>& base, const std::vector<std::vector<float>>& other, int64_t vocab) {
  double sum = 0, rows = 0;
  for (size_t i = 0; i < base.size(); ++i)
    for (size_t at = 0; at < base[i].size(); at += size_t(vocab), ++rows) {
      const auto log_sum = [&](const std::vector<float>& all) {
        double total = 0;
        for (size_t t = at; t < at + size_t(vocab); ++t) total += std::exp(double(all[t]));
        return std::log(total);
      };
      const double of_base = log_sum(base[i]), of_other = log_sum(other[i]);
      for (size_t t = at; t < at + size_t(vocab); ++t) {
        const double p = double(base[i][t]) - of_base;
        sum += std::exp(p) * (p - (double(other[i][t]) - of_other));
      }
    }
  return sum / rows;
}

}  // namespace gale::testing
