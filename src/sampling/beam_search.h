#pragma once
#include <cstdint>
#include <span>
#include <vector>

#include "gale/request.h"

namespace gale {

/// Which texts a beam search follows, and which it has found. Numbers only: the texts' rows are somebody else's. As
/// transformers has it for one prompt (GenerationMixin._beam_search): of all texts that are one token longer the best that have
/// not ended run on, and those that end are found where they are among the best.
class BeamSearch {
 public:
  struct Options {
    int32_t beams = 1;       ///< at least 1
    int64_t max_tokens = 1;  ///< of a text, at least 1
    double length_penalty = 1;
    BeamStop stop = BeamStop::unlikely;
    std::vector<int32_t> end_tokens;
  };
  /// What may come next in a text.
  struct Row {
    std::vector<TokenLogprob> likeliest;  ///< wanted() of them, fewer where there are no more; the most likely first
    std::vector<float> logprobs;          ///< the model's own of each of them, where somebody wants to know
    std::vector<TokenLogprob> top;        ///< the most likely by the model, where somebody wants to know
  };
  /// A text that runs on: that of the beam `parent`, and one token.
  struct Next {
    int32_t parent, token;
  };
  struct Found {
    std::vector<TokenEvent> tokens;  ///< with that which ended it
    double score = 0;
    bool ended = false;  ///< by its last token
  };

  explicit BeamSearch(Options options);

  /// Tokens that the best ones are certainly among, whichever text they belong to.
  size_t wanted() const;
  /// The texts that run now; at first there is one.
  size_t running() const { return running_.size(); }
  /// rows[i] is that of the beam i. Returns the beams that run now, the best first; none where the search is over.
  std::span<const Next> advance(std::span<Row> rows);
  /// The texts that run are found as they are: there is no room or no time for more.
  void give_up();
  /// The best first, at most `count`.
  std::vector<Found> best(size_t count) const;

 private:
  static constexpr int32_t kPrompt = -1;
  struct Node {
    int32_t before;  // kPrompt: none
    int32_t token;
    float logprob;
    std::vector<TokenLogprob> top;
  };
  struct Beam {
    int32_t node;
    double logprob;
  };
  struct Ended {
    int32_t node;
    double score;
    bool by_token;
  };
  struct Choice {
    double logprob;
    int32_t beam, place;
  };
  void choose(std::span<const Row> rows);
  int32_t add(int32_t before, const Row& row, size_t place);
  void find(const Beam& beam, bool by_token);
  double score(double logprob, int64_t tokens) const;
  bool is_over() const;

  Options options_;
  int64_t tokens_ = 0;  // of every text that runs
  std::vector<Node> nodes_;
  std::vector<Beam> running_, next_running_;
  std::vector<Next> next_;
  std::vector<Ended> found_;  // the best first
  std::vector<Choice> choices_;
};

}  // namespace gale
