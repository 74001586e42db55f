#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "tokenizer/budget.h"
#include "tokenizer/pre_tokenizer.h"
#include "tokenizer/tokenizer.h"

namespace gale {

/// A token and how many bytes of its word it covers.
struct Symbol {
  TokenId id;
  uint32_t bytes;
};

/// Where a model puts the tokens of a word, and where in the word each one lies, where somebody wants to know.
struct TokenSink {
  std::vector<TokenId>& ids;
  std::vector<Span>* spans = nullptr;

  void add(TokenId id, size_t begin, size_t end) {
    ids.push_back(id);
    if (spans != nullptr) spans->push_back({uint32_t(begin), uint32_t(end)});
  }
  /// The last token goes on to `end`.
  void extend(size_t end) {
    if (spans != nullptr && !spans->empty()) spans->back().end = uint32_t(end);
  }
};

/// Working memory of one encode call, shared by all models.
struct ModelScratch {
  explicit ModelScratch(Budget& call) : budget(call) {}

  struct Node {
    Symbol symbol;
    int32_t prev, next;
  };
  struct Candidate {
    uint64_t order;  // rank, then position
    TokenId left, right, result;
    bool operator<(const Candidate& o) const { return order > o.order; }  // the heap's top is the lowest
  };
  struct Best {
    double score;
    int32_t begin;  // -1: nothing ends here yet
    TokenId id;
  };
  std::vector<Symbol> symbols;
  std::vector<Node> nodes;
  std::vector<Candidate> heap;
  std::vector<Best> best;
  std::string text;
  Budget& budget;

  /// To be told how many bytes beyond a place were looked at; only more than pieces of words ever have are counted. Throws
  /// Error{invalid_argument} where a call does so too often.
  void looked(size_t bytes) {
    if (bytes > kFewBytes && !budget.look(bytes)) too_many_steps();
  }

 private:
  static constexpr size_t kFewBytes = 128;
  [[noreturn]] static void too_many_steps();
};

/// Words to tokens: the part between pre-tokenizer and post-processor. Immutable. Linear, or nearly so, in the word's length.
class Model {
 public:
  virtual ~Model() = default;
  /// REQUIRES: `word` is valid UTF-8, or any bytes for a byte-level model.
  virtual void encode(std::string_view word, ModelScratch& scratch, TokenSink& out) const = 0;
  /// -1 where the vocabulary has no such text.
  virtual TokenId find(std::string_view text) const = 0;
  /// The vocabulary's own form of a token, "" for ids it does not have.
  virtual std::string_view text(TokenId id) const = 0;
};

}  // namespace gale
