#include "engine/beams.h"

#include <fmt/format.h>

#include <algorithm>
#include <cassert>
#include <utility>

namespace gale {

Beams::Beams(Job& first, BeamSearch::Options options, int32_t choices)
    : first_(first), search_(std::move(options)), choices_(choices), texts_{&first} {
  first.search = this;
}

void Beams::choose(Job& job, std::span<const float> logits, const SamplingState& state, Candidates& scratch) const {
  job.row = {job.sampler.likeliest(logits, state, search_.wanted(), scratch), {}, {}};
  if (job.logprobs < 0) return;
  const int32_t best = job.row.likeliest.front().token;
  Logprobs model = log_probabilities(logits, best, job.logprobs, scratch);
  for (const TokenLogprob& next : job.row.likeliest)
    job.row.logprobs.push_back(model.chosen + (usable_logit(logits[size_t(next.token)]) - usable_logit(logits[size_t(best)])));
  job.row.top = std::move(model.top);
}

bool Beams::all_rest() const {
  return std::ranges::all_of(texts_, [](const Job* job) { return job->resting; });
}

// A text's first continuation takes its place, the others those of texts that have none.
bool Beams::go_on(Scheduler& scheduler) {
  rows_.clear();
  for (Job* job : texts_) rows_.push_back(std::move(job->row));
  const auto next = search_.advance(rows_);
  if (next.empty()) return false;
  next_texts_.assign(next.size(), nullptr);
  const std::vector<Job*> parents = texts_;
  for (size_t i = 0; i < next.size(); ++i) std::swap(next_texts_[i], texts_[size_t(next[i].parent)]);
  for (Job* job : texts_)
    if (job != nullptr) spares_.push_back(job);
  for (size_t i = 0; i < next.size(); ++i) {
    if (next_texts_[i] != nullptr) continue;
    next_texts_[i] = &spare();
    scheduler.fork(*next_texts_[i], *parents[size_t(next[i].parent)]);
  }
  texts_.swap(next_texts_);
  for (size_t i = 0; i < next.size(); ++i) {
    texts_[i]->tokens.push_back(next[i].token);
    scheduler.go_on(*texts_[i]);
  }
  for (Job* job : spares_) scheduler.remove(*job);
  return true;
}

Job& Beams::spare() {
  if (!spares_.empty()) {
    Job& out = *spares_.back();
    spares_.pop_back();
    return out;
  }
  auto& out = others_.emplace_back(std::make_unique<Job>(first_.id, std::vector<int32_t>(), SamplerChain(first_.sampler)));
  out->request = first_.request;
  out->prompt = first_.prompt;
  out->max_tokens = first_.max_tokens;
  out->seed = first_.seed;
  out->logprobs = first_.logprobs;
  out->events = first_.events;
  out->started = first_.started;
  out->first_token = first_.first_token;
  out->search = this;
  return *out;
}

void Beams::leave(Scheduler& scheduler) {
  scheduler.remove(first_);
  for (const auto& job : others_) scheduler.remove(*job);
}

void Beams::tell_one(BeamSearch::Found& found, EndEvent end) {
  if (found.ended) end.stop_token = found.tokens.back().token;
  if (found.ended && !first_.include_stop) found.tokens.pop_back();
  for (TokenEvent& token : found.tokens) {
    token.choice = end.choice;
    first_.events->push(std::move(token));
  }
  if (end.finish == Finish::stop && !found.ended) end.finish = Finish::length;
  end.generated_tokens = int64_t(found.tokens.size());
  end.beam_score = float(found.score);
  first_.events->push(std::move(end));
}

void Beams::tell(const EndEvent& end) {
  if (end.finish == Finish::length || end.finish == Finish::timeout) search_.give_up();
  std::vector<BeamSearch::Found> found;
  if (end.finish != Finish::error && end.finish != Finish::cancelled) found = search_.best(size_t(choices_));
  for (int32_t choice = 0; choice < choices_; ++choice) {
    EndEvent own = end;
    own.choice = choice;
    own.generated_tokens = 0;
    if (size_t(choice) < found.size()) {
      tell_one(found[size_t(choice)], std::move(own));
      continue;
    }
    if (own.finish == Finish::stop) {
      own.finish = Finish::error;
      own.error =
          fmt::format("the beam search found {} texts, not {}: there are no more that may be written", found.size(), choices_);
    }
    first_.events->push(std::move(own));
  }
}

}  // namespace gale
