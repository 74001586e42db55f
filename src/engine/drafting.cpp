#include "engine/drafting.h"

#include <algorithm>
#include <exception>

#include "base/clock.h"
#include "base/log.h"

namespace gale {

Drafting::Drafting(Drafter* drafter, const ModelInfo& info) : drafter_(drafter), info_(info) {
  if (drafter_ != nullptr) taps_.layers = drafter_->taps();
}

Taps* Drafting::taps() {
  taps_.rows.clear();
  return taps_.layers.empty() ? nullptr : &taps_;
}

void Drafting::saw(const Batch& batch, std::span<Sequence* const> owners) {
  if (taps_.layers.empty()) return;
  seen_.clear();
  for (size_t i = 0; i < owners.size(); ++i) {
    const Slice& slice = batch.slices[i];
    if (static_cast<const Job*>(owners[i])->search != nullptr) continue;  // several texts, all of one id
    seen_.push_back({owners[i]->id, slice.row, slice.count, batch.slots[size_t(slice.row)]});
  }
  try {
    drafter_->saw(seen_, taps_.rows);
  } catch (const std::exception& e) {
    log_warning("the drafter failed, nothing is drafted any more: {}", e.what());
    drafter_ = nullptr;
    taps_.layers.clear();
  }
  taps_.rows.clear();
}

void Drafting::propose(std::span<Sequence* const> active, int64_t rows) {
  if (drafter_ == nullptr) return;
  choose(active, rows);
  if (tasks_.empty()) return;
  try {
    ask();
  } catch (const std::exception& e) {
    log_warning("the drafter failed, {} request(s) go on without it: {}", tasks_.size(), e.what());
    for (size_t i = 0; i < jobs_.size(); ++i)
      if (depths_[i].chosen > 0) jobs_[i]->draft.clear(), jobs_[i]->draft_max = jobs_[i]->draft_min = 0;
  }
}

void Drafting::choose(std::span<Sequence* const> active, int64_t rows) {
  jobs_.clear();
  depths_.clear();
  tasks_.clear();
  int64_t decoding = 0;
  for (Sequence* s : active) {
    if (!s->decoding()) continue;
    ++decoding;
    Job& job = *static_cast<Job*>(s);
    int64_t most = std::min<int64_t>(job.draft_max, info_.context - job.computed - 1);
    if (job.max_tokens >= 0) most = std::min(most, job.max_tokens - job.generated() - 1);  // the last token needs no draft
    if (most <= 0) continue;
    jobs_.push_back(&job);
    depths_.push_back({&job.depth, int32_t(std::min<int64_t>(job.draft_min, most)), int32_t(most)});
  }
  choose_depths(depths_, cost_, double(decoding), double(decoding), rows - decoding, token_seconds_);
  for (size_t i = 0; i < jobs_.size(); ++i)
    if (depths_[i].chosen > 0)
      tasks_.push_back({.id = jobs_[i]->id,
                        .tokens = jobs_[i]->tokens,
                        .least = std::min(depths_[i].least, depths_[i].chosen),
                        .most = depths_[i].chosen,
                        .draft = &jobs_[i]->draft,
                        .root = jobs_[i]->root});
    else
      jobs_[i]->depth.idle();
}

void Drafting::ask() {
  constexpr double kNew = 0.2;
  const double begin = now_seconds();
  drafter_->propose(tasks_);
  size_t tokens = 0;
  for (size_t i = 0; i < jobs_.size(); ++i) {
    if (depths_[i].chosen == 0) continue;
    clean(*jobs_[i], size_t(depths_[i].chosen));
    tokens += jobs_[i]->draft.size();
  }
  if (tokens > 0) token_seconds_ += kNew * ((now_seconds() - begin) / double(tokens) - token_seconds_);
}

void Drafting::clean(Job& job, size_t most) const {
  std::vector<int32_t>& draft = job.draft;
  if (draft.size() > most) draft.resize(most);
  const auto wrong = std::ranges::find_if(draft, [&](int32_t token) { return token < 0 || token >= info_.vocab; });
  draft.erase(wrong, draft.end());
  const size_t needed = job.tokens.size() + draft.size();
  if (job.tokens.capacity() < needed) job.tokens.reserve(needed + needed / 2);
}

void Drafting::forget(const Job& job) {
  if (drafter_ != nullptr) drafter_->forget(job.id);
}

}  // namespace gale
