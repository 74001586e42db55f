#include "sampling/beam_search.h"

#include <algorithm>
#include <cassert>
#include <cmath>
#include <tuple>

namespace gale {

BeamSearch::BeamSearch(Options options) : options_(std::move(options)), running_{{kPrompt, 0}} {
  assert(options_.beams >= 1 && options_.max_tokens >= 1);
}

// Of each text all end tokens may come before those that do not end it.
size_t BeamSearch::wanted() const { return std::max<size_t>(2, 1 + options_.end_tokens.size()) * size_t(options_.beams); }

double BeamSearch::score(double logprob, int64_t tokens) const {
  return logprob / std::pow(double(tokens), options_.length_penalty);
}

// Of all texts' next tokens the best, of equal ones those of the better text, then the lower token.
void BeamSearch::choose(std::span<const Row> rows) {
  choices_.clear();
  for (size_t beam = 0; beam < rows.size(); ++beam)
    for (size_t place = 0; place < rows[beam].likeliest.size(); ++place)
      choices_.push_back({running_[beam].logprob + double(rows[beam].likeliest[place].logprob), int32_t(beam), int32_t(place)});
  std::ranges::sort(choices_, {}, [](const Choice& c) { return std::tuple(-c.logprob, c.beam, c.place); });
  choices_.resize(std::min(choices_.size(), wanted()));
}

int32_t BeamSearch::add(int32_t before, const Row& row, size_t place) {
  nodes_.push_back({before, row.likeliest[place].token, row.logprobs.empty() ? 0 : row.logprobs[place], row.top});
  return int32_t(nodes_.size()) - 1;
}

void BeamSearch::find(const Beam& beam, bool by_token) {
  const Ended ended{beam.node, score(beam.logprob, tokens_), by_token};
  found_.insert(std::ranges::upper_bound(found_, ended.score, std::greater<>(), &Ended::score), ended);
  if (found_.size() > size_t(options_.beams)) found_.pop_back();
}

std::span<const BeamSearch::Next> BeamSearch::advance(std::span<Row> rows) {
  assert(rows.size() == running_.size());
  choose(rows);
  ++tokens_;
  const bool last = tokens_ == options_.max_tokens;
  next_.clear();
  next_running_.clear();
  for (size_t rank = 0; rank < choices_.size(); ++rank) {
    const auto& [logprob, beam, place] = choices_[rank];
    const Row& row = rows[size_t(beam)];
    const int32_t token = row.likeliest[size_t(place)].token;
    const bool ends = std::ranges::find(options_.end_tokens, token) != options_.end_tokens.end();
    const bool finds = (ends || last) && rank < size_t(options_.beams);
    const bool runs = !ends && !last && next_.size() < size_t(options_.beams);
    if (!finds && !runs) continue;
    const Beam longer{add(running_[size_t(beam)].node, row, size_t(place)), logprob};
    if (finds) {
      find(longer, ends);
    } else {
      next_running_.push_back(longer);
      next_.push_back({beam, token});
    }
  }
  running_.swap(next_running_);
  if (is_over()) {
    running_.clear();
    next_.clear();
  }
  return next_;
}

bool BeamSearch::is_over() const {
  if (running_.empty()) return true;
  if (found_.size() < size_t(options_.beams)) return false;
  if (options_.stop == BeamStop::full) return true;
  const bool grows = options_.stop == BeamStop::impossible && options_.length_penalty > 0;
  return score(running_.front().logprob, grows ? options_.max_tokens : tokens_) <= found_.back().score;
}

void BeamSearch::give_up() {
  if (tokens_ > 0)
    for (const Beam& beam : running_) find(beam, false);
  running_.clear();
}

std::vector<BeamSearch::Found> BeamSearch::best(size_t count) const {
  std::vector<Found> out;
  for (const Ended& ended : std::span(found_).first(std::min(count, found_.size()))) {
    Found& text = out.emplace_back();
    text.score = ended.score;
    text.ended = ended.by_token;
    for (int32_t node = ended.node; node != kPrompt; node = nodes_[size_t(node)].before)
      text.tokens.push_back({nodes_[size_t(node)].token, nodes_[size_t(node)].logprob, nodes_[size_t(node)].top, 0});
    std::ranges::reverse(text.tokens);
  }
  return out;
}

}  // namespace gale
