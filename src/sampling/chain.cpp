#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>

#include "base/fail.h"
#include "sampling/sampler.h"
#include "sampling/stages.h"

namespace gale {
namespace {

using stages::Stage;

struct Making {
  const SamplingParams& params;
  int64_t vocab;
  const Tokenizer* tokenizer;
};

struct Kind {
  const char* name;
  bool draws;                    // has a meaning only where a token is drawn: temperature 0 does without
  Stage (*make)(const Making&);  // null where its parameters switch it off
};

Stage make_dry(const Making& m) {
  const SamplingParams& p = m.params;
  if (p.dry_multiplier == 0) return nullptr;
  require(p.dry_sequence_breakers.empty() || m.tokenizer != nullptr, ErrorCode::invalid_argument,
          "dry_sequence_breakers are texts, but this model has no tokenizer; give an empty list");
  return stages::dry({p.dry_multiplier, p.dry_base, p.dry_allowed_length, p.dry_last_n},
                     p.dry_sequence_breakers.empty() ? DryBreakers() : DryBreakers(*m.tokenizer, p.dry_sequence_breakers),
                     m.vocab);
}

Stage make_temperature(const SamplingParams& p) {
  if (p.temperature == 0) return nullptr;
  if (p.dynamic_temperature_range > 0)
    return stages::dynamic_temperature(p.temperature, p.dynamic_temperature_range, p.dynamic_temperature_exponent);
  return p.temperature == 1 ? nullptr : stages::temperature(p.temperature);
}

template <class... Args>
Stage make_if(bool on, Stage (*make)(Args...), std::type_identity_t<Args>... args) {
  return on ? make(std::move(args)...) : nullptr;
}

/// The stages between the masks and the choice, in the one default order: docs/why/sampling.md says why.
constexpr Kind kKinds[] = {
    {"repetition_penalty", false,
     [](const Making& m) {
       const SamplingParams& p = m.params;
       return make_if(p.repetition_penalty != 1, stages::repetition_penalty, p.repetition_penalty, p.penalty_last_n, m.vocab);
     }},
    {"count_penalties", false,
     [](const Making& m) {
       const SamplingParams& p = m.params;
       return make_if(p.frequency_penalty != 0 || p.presence_penalty != 0, stages::count_penalties, p.frequency_penalty,
                      p.presence_penalty, p.penalty_last_n, m.vocab);
     }},
    {"no_repeat_ngram", false,
     [](const Making& m) { return make_if(m.params.no_repeat_ngram > 0, stages::no_repeat_ngram, m.params.no_repeat_ngram); }},
    {"dry", false, make_dry},
    {"processors", false,
     [](const Making& m) { return m.params.processors.empty() ? nullptr : stages::processors(m.params.processors, m.vocab); }},
    {"temperature", true, [](const Making& m) { return make_temperature(m.params); }},
    {"top_n_sigma", true,
     [](const Making& m) { return make_if(m.params.top_n_sigma > 0, stages::top_n_sigma, m.params.top_n_sigma); }},
    {"top_k", true, [](const Making& m) { return make_if(m.params.top_k > 0, stages::top_k, m.params.top_k); }},
    {"top_p", true, [](const Making& m) { return make_if(m.params.top_p < 1, stages::top_p, m.params.top_p); }},
    {"min_p", true, [](const Making& m) { return make_if(m.params.min_p > 0, stages::min_p, m.params.min_p); }},
    {"typical_p", true, [](const Making& m) { return make_if(m.params.typical_p < 1, stages::typical_p, m.params.typical_p); }},
    {"top_a", true, [](const Making& m) { return make_if(m.params.top_a > 0, stages::top_a, m.params.top_a); }},
    {"tail_free", true, [](const Making& m) { return make_if(m.params.tail_free < 1, stages::tail_free, m.params.tail_free); }},
    {"epsilon_cutoff", true,
     [](const Making& m) { return make_if(m.params.epsilon_cutoff > 0, stages::epsilon_cutoff, m.params.epsilon_cutoff); }},
    {"eta_cutoff", true,
     [](const Making& m) { return make_if(m.params.eta_cutoff > 0, stages::eta_cutoff, m.params.eta_cutoff); }},
    {"xtc", true,
     [](const Making& m) {
       return make_if(m.params.xtc_probability > 0, stages::xtc, m.params.xtc_probability, m.params.xtc_threshold);
     }},
};

/// Indices into kKinds: the default order, or the one asked for.
std::vector<size_t> order_of(const SamplingParams& params) {
  std::vector<size_t> out;
  for (size_t i = 0; params.order.empty() && i < std::size(kKinds); ++i) out.push_back(i);
  for (const std::string& name : params.order) {
    const auto kind = std::find_if(std::begin(kKinds), std::end(kKinds), [&](const Kind& k) { return name == k.name; });
    require(kind != std::end(kKinds), ErrorCode::invalid_argument, "order names \"{}\", but the stages are {}", name,
            fmt::join(sampling_stages(), ", "));
    const size_t index = size_t(kind - std::begin(kKinds));
    require(std::find(out.begin(), out.end(), index) == out.end(), ErrorCode::invalid_argument, "order names \"{}\" twice", name);
    out.push_back(index);
  }
  return out;
}

/// logit_bias, and its texts as the tokens they are made of.
std::vector<std::pair<int32_t, float>> all_biases(const Making& m) {
  std::vector<std::pair<int32_t, float>> out = m.params.logit_bias;
  for (const auto& [text, bias] : m.params.logit_bias_text) {
    require(m.tokenizer != nullptr, ErrorCode::invalid_argument,
            "logit_bias_text names \"{}\", but this model has no tokenizer; name tokens by id in logit_bias", text);
    std::vector<TokenId> ids = m.tokenizer->encode(text, {.add_special = false, .parse_special = true});
    std::sort(ids.begin(), ids.end());
    ids.erase(std::unique(ids.begin(), ids.end()), ids.end());
    for (const TokenId id : ids) {
      require(id >= 0 && id < m.vocab, ErrorCode::invalid_argument,
              "logit_bias_text names \"{}\", which is token {}, but the model chooses from 0 to {}", text, id, m.vocab - 1);
      out.emplace_back(id, bias);
    }
  }
  return out;
}

Stage make_choice(const SamplingParams& p) {
  if (p.temperature == 0) return stages::greedy();
  if (p.mirostat == 1) return stages::mirostat_1(p.mirostat_tau, p.mirostat_eta);
  if (p.mirostat == 2) return stages::mirostat_2(p.mirostat_tau, p.mirostat_eta);
  return stages::draw();
}

}  // namespace

std::vector<std::string> sampling_stages() {
  std::vector<std::string> out;
  for (const Kind& kind : kKinds) out.emplace_back(kind.name);
  return out;
}

SamplerChain::SamplerChain(const SamplingParams& p, int64_t vocab, const SamplerContext& context) {
  check_sampling(p, vocab);
  const Making making{p, vocab, context.tokenizer};
  const bool greedy = p.temperature == 0;
  if (auto biases = all_biases(making); !biases.empty()) stages_.push_back(stages::logit_bias(std::move(biases)));
  if (!p.allowed_ids.empty()) stages_.push_back(stages::allowed_ids(p.allowed_ids));
  if (!p.banned_ids.empty()) stages_.push_back(stages::banned_ids(p.banned_ids));
  if (context.min_tokens > 0) stages_.push_back(stages::min_tokens(context.min_tokens, context.end_tokens));
  if (!p.begin_with.empty()) {
    require(making.tokenizer != nullptr, ErrorCode::invalid_argument,
            "begin_with is a text, but this model has no tokenizer; name tokens by id");
    stages_.push_back(stages::begin_with(*making.tokenizer, p.begin_with, vocab));
  }
  const std::vector<size_t> order = order_of(p);
  for (const size_t i : order)
    if (!greedy || !kKinds[i].draws)
      if (Stage stage = kKinds[i].make(making)) stages_.push_back(std::move(stage));
  for (size_t i = 0; i < std::size(kKinds); ++i)
    if (std::find(order.begin(), order.end(), i) == order.end() && kKinds[i].make(making))
      fail(ErrorCode::invalid_argument,
           "order does not name \"{}\", but its parameter is set; name it, or leave the parameter away", kKinds[i].name);
  if (!greedy || !stages_.empty()) stages_.push_back(make_choice(p));
}

SamplerChain::SamplerChain(const SamplerChain& other) {
  for (const auto& stage : other.stages_) stages_.push_back(stage->clone());
}
SamplerChain::SamplerChain(SamplerChain&&) noexcept = default;
SamplerChain& SamplerChain::operator=(SamplerChain&&) noexcept = default;
SamplerChain::~SamplerChain() = default;

int32_t SamplerChain::sample(std::span<const float> logits, const SamplingState& state, Candidates& scratch) {
  if (stages_.empty())  // greedy, and nothing that changes a logit
    if (const int32_t best = stages::argmax(logits); best >= 0) return best;
  scratch.start(logits);
  if (stages_.empty()) scratch.largest();  // throws
  for (const auto& stage : stages_) stage->apply(scratch, state);
  return scratch.token(0);
}

std::vector<TokenLogprob> SamplerChain::likeliest(std::span<const float> logits, const SamplingState& state, size_t n,
                                                  Candidates& scratch) {
  scratch.start(logits);
  for (size_t i = 0; i + 1 < stages_.size(); ++i) stages_[i]->apply(scratch, state);  // the last is the choice
  const double log_sum = double(scratch.largest()) + std::log(scratch.total());
  sampling::rank(scratch.keys(), std::min(n, scratch.choosable()), scratch.select);
  std::vector<TokenLogprob> out;
  for (const auto& r : scratch.select.ranked) out.push_back({scratch.token(r.index), float(double(r.key) - log_sum)});
  return out;
}

}  // namespace gale
