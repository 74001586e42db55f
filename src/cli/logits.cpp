#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "base/json.h"
#include "cli/cli.h"
#include "cli/console.h"
#include "cli/options.h"
#include "tokenizer/tokenizer.h"

namespace gale::cli {
namespace {

constexpr int64_t kShown = 5;

struct Flags {
  ModelFlags model;
  std::string tokens;
  bool json = false;
};

// JSON has no NaN and no infinity: null, as in JavaScript. 9 digits give the same float back; nlohmann would write the 17 of a
// double.
std::string json_number(float x) { return std::isfinite(x) ? fmt::format("{:.9g}", x) : "null"; }

// The most likely tokens of each position: enough to see at a glance; --json has all logits.
void print_best(const Engine& engine, const std::vector<int32_t>& tokens, const std::vector<float>& logits) {
  const int64_t vocab = engine.info().vocab;
  std::vector<int32_t> order(static_cast<size_t>(vocab));
  for (size_t row = 0; row < tokens.size(); ++row) {
    const float* values = logits.data() + int64_t(row) * vocab;
    const auto rank = [&](int32_t i) { return std::isnan(values[i]) ? -std::numeric_limits<float>::infinity() : values[i]; };
    std::iota(order.begin(), order.end(), 0);
    const auto best = order.begin() + std::min(kShown, vocab);
    std::partial_sort(order.begin(), best, order.end(),
                      [&](int32_t a, int32_t b) { return rank(a) > rank(b) || (rank(a) == rank(b) && a < b); });
    std::string text = fmt::format("{:>5} {:>8}:", row, tokens[row]);
    for (auto it = order.begin(); it != best; ++it) text += fmt::format("  {} {:.4f}", *it, values[*it]);
    print(text + "\n");
  }
}

int logits(const Flags& flags) {
  const auto tokens = parse_tokens(flags.tokens == "-" ? read_stdin() : flags.tokens);
  const auto engine = open_engine(engine_options(flags.model));
  const std::vector<float> values = engine->logits(tokens);
  if (!flags.json) {
    print_best(*engine, tokens, values);
    return 0;
  }
  const int64_t vocab = engine->info().vocab;
  print(fmt::format("{{\"vocab\": {}, \"tokens\": {}, \"logits\": [", vocab, Json(tokens).dump()));
  for (size_t row = 0; row < tokens.size(); ++row) {
    std::string text = row == 0 ? "\n[" : ",\n[";
    for (int64_t i = 0; i < vocab; ++i) text += (i == 0 ? "" : ",") + json_number(values[row * size_t(vocab) + size_t(i)]);
    print(text + "]");
  }
  print("]}\n");
  return 0;
}

}  // namespace

void add_logits(CommandLine& line) {
  CLI::App* sub = line.app.add_subcommand("logits", "Logits of every position of a prompt");
  const auto flags = std::make_shared<Flags>();
  add_model_flags(*sub, flags->model);
  sub->add_option("--tokens", flags->tokens, "Token ids: 1,2,3; - reads stdin")->required();
  sub->add_flag("--json", flags->json, "Print one JSON object with all logits");
  sub->callback([&line, flags] { line.action = [flags] { return logits(*flags); }; });
}

}  // namespace gale::cli
