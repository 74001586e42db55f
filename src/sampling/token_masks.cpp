#include <algorithm>
#include <limits>

#include "sampling/stages.h"

namespace gale::stages {
namespace {

constexpr float kNever = -std::numeric_limits<float>::infinity();

void forbid(Candidates& candidates, const std::vector<int32_t>& ids) {
  for (const int32_t id : ids)
    if (const auto i = candidates.find(id); i >= 0) candidates.change(size_t(i), kNever);
}

class BannedIds final : public SamplerStage {
 public:
  explicit BannedIds(std::vector<int32_t> ids) : ids_(std::move(ids)) {}
  void apply(Candidates& candidates, const SamplingState&) override { forbid(candidates, ids_); }
  Stage clone() const override { return std::make_unique<BannedIds>(*this); }

 private:
  std::vector<int32_t> ids_;
};

class AllowedIds final : public SamplerStage {
 public:
  explicit AllowedIds(std::vector<int32_t> ids) : ids_(std::move(ids)) { std::sort(ids_.begin(), ids_.end()); }
  void apply(Candidates& candidates, const SamplingState&) override {
    auto next = ids_.begin();  // both lists ascend
    candidates.drop_if([&](size_t i) {
      const int32_t token = candidates.token(i);
      while (next != ids_.end() && *next < token) ++next;
      return next == ids_.end() || *next != token;
    });
  }
  Stage clone() const override { return std::make_unique<AllowedIds>(*this); }

 private:
  std::vector<int32_t> ids_;
};

/// vLLM's min_tokens: what would end the text has no place in its first n tokens.
class MinTokens final : public SamplerStage {
 public:
  MinTokens(int64_t n, std::vector<int32_t> end_tokens) : n_(n), end_tokens_(std::move(end_tokens)) {}
  void apply(Candidates& candidates, const SamplingState& state) override {
    if (int64_t(state.answered()) < n_) forbid(candidates, end_tokens_);
  }
  Stage clone() const override { return std::make_unique<MinTokens>(*this); }

 private:
  int64_t n_;
  std::vector<int32_t> end_tokens_;
};

}  // namespace

Stage banned_ids(std::vector<int32_t> ids) { return std::make_unique<BannedIds>(std::move(ids)); }
Stage allowed_ids(std::vector<int32_t> ids) { return std::make_unique<AllowedIds>(std::move(ids)); }
Stage min_tokens(int64_t n, std::vector<int32_t> end_tokens) { return std::make_unique<MinTokens>(n, std::move(end_tokens)); }

}  // namespace gale::stages
