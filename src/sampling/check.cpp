#include <algorithm>
#include <cmath>

#include "base/fail.h"
#include "sampling/sampler.h"

namespace gale {
namespace {

constexpr int32_t kMostLogprobs = 20;
constexpr float kHottest = 10000;          // every token is as likely there
constexpr size_t kLongestBeginning = 256;  // bytes
constexpr size_t kMostBreakerBytes = 40, kAllBreakerBytes = 256, kMostBreakers = 16, kMostBiases = 1 << 20;

/// NaN fails every comparison, so it is refused with the rest.
template <class Number>
void check(bool ok, const char* field, Number value, const std::string& range) {
  require(ok, ErrorCode::invalid_argument, "{} is {}, but must be {}", field, value, range);
}

void check_id(const char* field, int32_t token, int64_t vocab) {
  require(token >= 0 && token < vocab, ErrorCode::invalid_argument, "{} names token {}, but must name one of 0 to {}", field,
          token, vocab - 1);
}

void check_tokens(const SamplingParams& p, int64_t vocab) {
  for (const auto& [token, bias] : p.logit_bias) {
    check_id("logit_bias", token, vocab);
    require(std::isfinite(bias), ErrorCode::invalid_argument, "logit_bias of token {} is {}, but must be a finite number", token,
            bias);
  }
  for (const auto& [text, bias] : p.logit_bias_text) {
    require(!text.empty(), ErrorCode::invalid_argument, "logit_bias_text has an empty text; name one that is made of tokens");
    require(std::isfinite(bias), ErrorCode::invalid_argument, "logit_bias_text of \"{}\" is {}, but must be a finite number",
            text, bias);
  }
  for (const auto& [field, size] : {std::pair("logit_bias", p.logit_bias.size()), {"logit_bias_text", p.logit_bias_text.size()}})
    require(size <= kMostBiases, ErrorCode::invalid_argument, "{} has {} entries, but at most {} are taken", field, size,
            kMostBiases);
  for (const int32_t id : p.banned_ids) check_id("banned_ids", id, vocab);
  for (const int32_t id : p.allowed_ids) check_id("allowed_ids", id, vocab);
  std::vector<int32_t> banned = p.banned_ids;
  std::sort(banned.begin(), banned.end());
  const auto is_banned = [&](int32_t id) { return std::binary_search(banned.begin(), banned.end(), id); };
  require(p.allowed_ids.empty() || !std::all_of(p.allowed_ids.begin(), p.allowed_ids.end(), is_banned),
          ErrorCode::invalid_argument, "banned_ids names every token of allowed_ids: none is left");
  banned.erase(std::unique(banned.begin(), banned.end()), banned.end());
  require(int64_t(banned.size()) < vocab, ErrorCode::invalid_argument, "banned_ids names all {} tokens: none is left", vocab);
  for (const auto& processor : p.processors)
    require(processor != nullptr, ErrorCode::invalid_argument, "processors has a null pointer");
}

void check_repetition(const SamplingParams& p) {
  check(p.repetition_penalty > 0 && std::isfinite(p.repetition_penalty), "repetition_penalty", p.repetition_penalty,
        "a finite number above 0");
  check(p.frequency_penalty >= -2 && p.frequency_penalty <= 2, "frequency_penalty", p.frequency_penalty, "from -2 to 2");
  check(p.presence_penalty >= -2 && p.presence_penalty <= 2, "presence_penalty", p.presence_penalty, "from -2 to 2");
  check(p.penalty_last_n >= -1, "penalty_last_n", p.penalty_last_n, "at least 0, or -1 for all tokens");
  check(p.no_repeat_ngram >= 0, "no_repeat_ngram", p.no_repeat_ngram, "at least 0 (0: off)");
  check(p.dry_multiplier >= 0 && std::isfinite(p.dry_multiplier), "dry_multiplier", p.dry_multiplier,
        "a finite number of at least 0 (0: off)");
  check(p.dry_base >= 1 && std::isfinite(p.dry_base), "dry_base", p.dry_base, "a finite number of at least 1");
  check(p.dry_allowed_length >= 1, "dry_allowed_length", p.dry_allowed_length, "at least 1");
  check(p.dry_last_n >= -1, "dry_last_n", p.dry_last_n, "at least 0, or -1 for all tokens");
  size_t bytes = 0;
  for (const std::string& text : p.dry_sequence_breakers) {
    require(!text.empty() && text.size() <= kMostBreakerBytes, ErrorCode::invalid_argument,
            "dry_sequence_breakers has a text of {} bytes, but each must have from 1 to {}", text.size(), kMostBreakerBytes);
    bytes += text.size();
  }
  require(p.dry_sequence_breakers.size() <= kMostBreakers, ErrorCode::invalid_argument,
          "dry_sequence_breakers has {} texts, but at most {} are taken", p.dry_sequence_breakers.size(), kMostBreakers);
  require(bytes <= kAllBreakerBytes, ErrorCode::invalid_argument,
          "dry_sequence_breakers have {} bytes together, but at most {} are taken", bytes, kAllBreakerBytes);
}

void check_shape(const SamplingParams& p) {
  check(p.temperature >= 0 && p.temperature <= kHottest, "temperature", p.temperature, fmt::format("from 0 to {}", kHottest));
  check(p.dynamic_temperature_range >= 0 && p.dynamic_temperature_range <= p.temperature, "dynamic_temperature_range",
        p.dynamic_temperature_range, fmt::format("from 0 (off) to temperature, {}", p.temperature));
  check(p.dynamic_temperature_exponent > 0 && std::isfinite(p.dynamic_temperature_exponent), "dynamic_temperature_exponent",
        p.dynamic_temperature_exponent, "a finite number above 0");
  check(p.top_k >= 0, "top_k", p.top_k, "at least 0 (0 keeps all)");
  check(p.top_p > 0 && p.top_p <= 1, "top_p", p.top_p, "above 0 and at most 1");
  check(p.min_p >= 0 && p.min_p < 1, "min_p", p.min_p, "at least 0 and below 1");
  check(p.typical_p > 0 && p.typical_p <= 1, "typical_p", p.typical_p, "above 0 and at most 1");
  check(p.top_a >= 0 && p.top_a <= 1, "top_a", p.top_a, "from 0 (off) to 1");
  check(p.tail_free > 0 && p.tail_free <= 1, "tail_free", p.tail_free, "above 0 and at most 1");
  check(p.top_n_sigma >= 0 && std::isfinite(p.top_n_sigma), "top_n_sigma", p.top_n_sigma,
        "a finite number of at least 0 (0: off)");
  check(p.epsilon_cutoff >= 0 && p.epsilon_cutoff < 1, "epsilon_cutoff", p.epsilon_cutoff, "at least 0 and below 1");
  check(p.eta_cutoff >= 0 && p.eta_cutoff < 1, "eta_cutoff", p.eta_cutoff, "at least 0 and below 1");
  check(p.xtc_probability >= 0 && p.xtc_probability <= 1, "xtc_probability", p.xtc_probability, "from 0 (off) to 1");
  check(p.xtc_threshold > 0 && p.xtc_threshold <= 0.5f, "xtc_threshold", p.xtc_threshold, "above 0 and at most 0.5");
}

void check_choice(const SamplingParams& p) {
  require(p.begin_with.size() <= kLongestBeginning, ErrorCode::invalid_argument,
          "begin_with has {} bytes, but may have at most {}", p.begin_with.size(), kLongestBeginning);
  check(p.mirostat >= 0 && p.mirostat <= 2, "mirostat", p.mirostat, "0 (off), 1 or 2");
  require(p.mirostat == 0 || p.temperature > 0, ErrorCode::invalid_argument,
          "mirostat is {}, but it draws, and temperature 0 takes the most likely token; give a temperature above 0", p.mirostat);
  check(p.mirostat_tau > 0 && std::isfinite(p.mirostat_tau), "mirostat_tau", p.mirostat_tau, "a finite number above 0");
  check(p.mirostat_eta > 0 && p.mirostat_eta <= 1, "mirostat_eta", p.mirostat_eta, "above 0 and at most 1");
  check(p.logprobs >= -1 && p.logprobs <= kMostLogprobs, "logprobs", p.logprobs,
        fmt::format("-1 (none) or from 0 to {}", kMostLogprobs));
}

}  // namespace

void check_sampling(const SamplingParams& params, int64_t vocab) {
  require(vocab > 0 && vocab <= INT32_MAX, ErrorCode::invalid_argument, "a vocabulary of {} tokens cannot be sampled from",
          vocab);
  check_tokens(params, vocab);
  check_repetition(params);
  check_shape(params);
  check_choice(params);
}

}  // namespace gale
