#include "sampling/dry_breakers.h"

#include <set>

#include "tokenizer/token_search.h"

namespace gale {

DryBreakers::DryBreakers(const Tokenizer& tokenizer, const std::vector<std::string>& texts) {
  for (const std::string& text : std::set<std::string>(texts.begin(), texts.end())) add(tokenizer, text);
}

void DryBreakers::add(const Tokenizer& tokenizer, const std::string& text) {
  for (const TokenId id : tokens_containing(tokenizer, text)) whole_.insert(id);
  if (text.size() == 1) return;                 // begins nowhere without being there whole
  const State base = State(continues_.size());  // base + n: the first n bytes are there; 0 is not used
  continues_.resize(continues_.size() + text.size());
  std::vector<bool> reached(text.size());
  for (const auto& [id, bytes] : tokens_beginning(tokenizer, text)) {
    begins_[id].push_back(base + State(bytes));
    reached[bytes] = true;
  }
  for (size_t have = 1; have < text.size(); ++have) {
    if (!reached[have]) continue;
    for (const auto& [id, bytes] : tokens_continuing(tokenizer, std::string_view(text).substr(have))) {
      const size_t now = have + bytes;
      continues_[base + have][id] = now == text.size() ? kDone : base + State(now);
      if (now < text.size()) reached[now] = true;
    }
  }
}

}  // namespace gale
