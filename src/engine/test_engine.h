#pragma once
#include <gtest/gtest.h>
#include <unistd.h>

#include <bit>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "base/rng.h"
#include "engine/random_model.h"
#include "gale/engine.h"

// What the tests of this room share.
namespace gale::testing {

inline std::filesystem::path golden_path(const std::string& name) {
  return std::filesystem::path(GALE_SOURCE_DIR) / "tests/golden/data" / name;
}

/// Small, and wide enough for every format: widths are multiples of 256.
inline constexpr RandomShape kTinyShape{.name = "tiny",
                                        .architecture = "LlamaForCausalLM",
                                        .hidden = 256,
                                        .layers = 2,
                                        .heads = 4,
                                        .kv_heads = 2,
                                        .head_dim = 64,
                                        .intermediate = 256,
                                        .vocab = 120,
                                        .positions = 2048,
                                        .rope_theta = 10000};

/// The same with five experts of which a token uses three.
inline constexpr RandomShape kTinyMoeShape{.name = "tiny-moe",
                                           .architecture = "Qwen3MoeForCausalLM",
                                           .hidden = 256,
                                           .layers = 2,
                                           .heads = 4,
                                           .kv_heads = 2,
                                           .head_dim = 64,
                                           .intermediate = 256,
                                           .vocab = 120,
                                           .positions = 2048,
                                           .rope_theta = 10000,
                                           .qk_norm = true,
                                           .experts = 5,
                                           .experts_used = 3,
                                           .expert_intermediate = 256};

/// A folder that goes with the object.
class TemporaryFolder {
 public:
  TemporaryFolder() {
    std::string name = (std::filesystem::temp_directory_path() / "gale-engine-XXXXXX").string();
    path_ = mkdtemp(name.data());
  }
  ~TemporaryFolder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  std::filesystem::path operator/(const std::string& name) const { return path_ / name; }

 private:
  std::filesystem::path path_;
};

/// Everything a request gave. Logprobs are kept as bits: the comparison is exact.
struct Text {
  std::vector<int32_t> tokens;
  std::vector<uint32_t> logprobs;
  std::vector<TokenEvent> prompt;
  EndEvent end{};
  bool operator==(const Text& other) const { return tokens == other.tokens && logprobs == other.logprobs; }
};

inline Text read_all(EventStream& stream) {
  Text out;
  while (const auto event = stream.next()) {
    if (const auto* token = std::get_if<TokenEvent>(&*event)) {
      out.tokens.push_back(token->token);
      out.logprobs.push_back(std::bit_cast<uint32_t>(token->logprob));
      for (const TokenLogprob& t : token->top) {
        out.logprobs.push_back(uint32_t(t.token));
        out.logprobs.push_back(std::bit_cast<uint32_t>(t.logprob));
      }
    } else if (auto* prompt = std::get_if<PromptEvent>(&*event)) {
      EXPECT_TRUE(out.tokens.empty()) << "the prompt comes first";
      out.prompt = prompt->tokens;
    } else {
      out.end = std::get<EndEvent>(*event);
    }
  }
  EXPECT_EQ(out.end.generated_tokens, int64_t(out.tokens.size()));
  return out;
}

inline Request greedy(std::vector<int32_t> prompt, int64_t max_tokens) {
  Request request;
  request.tokens = std::move(prompt);
  request.max_tokens = max_tokens;
  request.ignore_eos = true;
  return request;
}

inline std::vector<int32_t> random_prompt(uint64_t seed, int64_t length, int64_t vocab) {
  SplitMix64 rng{seed};
  std::vector<int32_t> out;
  for (int64_t i = 0; i < length; ++i) out.push_back(int32_t(rng() % uint64_t(vocab)));
  return out;
}

}  // namespace gale::testing
