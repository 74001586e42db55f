#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cmath>
#include <optional>
#include <span>

#include "base/fail.h"
#include "base/json.h"
#include "cli/cli.h"
#include "cli/console.h"
#include "cli/options.h"
#include "cli/progress.h"
#include "cli/windows.h"

namespace gale::cli {
namespace {

struct Flags {
  ModelFlags model;
  WindowFlags text;
  std::string against;
  bool json = false;
};

// A mean that grows, and how sure it is.
class Mean {
 public:
  void add(double x) {
    ++n_;
    sum_ += x;
    squares_ += x * x;
  }
  int64_t count() const { return n_; }
  double value() const { return sum_ / double(n_); }
  /// The standard error.
  double error() const {
    return n_ < 2 ? 0 : std::sqrt(std::max(squares_ / double(n_) - value() * value(), 0.0) / double(n_ - 1));
  }

 private:
  int64_t n_ = 0;
  double sum_ = 0, squares_ = 0;
};

struct Row {
  std::span<const float> logits;
  double log_sum = 0;  // of e^logit
  size_t best = 0;

  explicit Row(std::span<const float> all) : logits(all) {
    best = size_t(std::ranges::max_element(all) - all.begin());
    double sum = 0;
    for (const float x : all) sum += std::exp(double(x) - double(all[best]));
    log_sum = double(all[best]) + std::log(sum);
  }
  double log_probability(size_t token) const { return double(logits[token]) - log_sum; }
};

struct Scores {
  Mean loss, base_loss, kl, agreement;

  // What stands at `row` about `next`; of the base too where there is one.
  void add(const Row& row, const Row* base, int32_t next) {
    loss.add(-row.log_probability(size_t(next)));
    if (base == nullptr) return;
    base_loss.add(-base->log_probability(size_t(next)));
    agreement.add(row.best == base->best ? 1 : 0);
    double kl_here = 0;
    for (size_t i = 0; i < row.logits.size(); ++i) {
      const double of_base = base->log_probability(i);
      kl_here += std::exp(of_base) * (of_base - row.log_probability(i));
    }
    kl.add(kl_here);
  }
};

std::unique_ptr<Engine> open(const Flags& flags, ModelFlags model) {
  if (model.context == 0) model.context = flags.text.window;
  return open_engine(engine_options(model));
}

// As it is.
std::unique_ptr<Engine> open_base(const Flags& flags) {
  if (flags.against.empty()) return nullptr;
  ModelFlags base = flags.model;
  base.model = flags.against;
  base.quant = base.topology = base.imatrix = base.calibrate = base.kv_type = "";
  base.quant_experts = false;
  return open(flags, base);
}

Scores score(Engine& engine, Engine* base, const std::vector<std::vector<int32_t>>& windows) {
  const auto vocab = size_t(engine.info().vocab);
  Scores out;
  Progress progress("perplexity");
  for (size_t w = 0; w < windows.size(); ++w) {
    const auto& tokens = windows[w];
    const std::vector<float> logits = engine.logits(tokens), of_base = base ? base->logits(tokens) : std::vector<float>();
    for (size_t i = tokens.size() / 2; i + 1 < tokens.size(); ++i) {
      const auto row_of = [&](const std::vector<float>& all) { return Row(std::span(all).subspan(i * vocab, vocab)); };
      const std::optional<Row> beside = base ? std::optional(row_of(of_base)) : std::nullopt;
      out.add(row_of(logits), beside ? &*beside : nullptr, tokens[i + 1]);
    }
    progress.update(int64_t(w + 1), int64_t(windows.size()));
  }
  return out;
}

int perplexity(const Flags& flags) {
  const auto engine = open(flags, flags.model);
  const auto windows = windows_of(flags.text, *engine);
  const auto base = open_base(flags);
  require(!base || base->info().vocab == engine->info().vocab, ErrorCode::invalid_argument,
          "{} has {} tokens in its vocabulary and {} has {}: their distributions cannot be compared", flags.model.model,
          engine->info().vocab, flags.against, base ? base->info().vocab : 0);
  const Scores s = score(*engine, base.get(), windows);
  const auto of_loss = [](const Mean& m) { return std::exp(m.value()); };
  if (flags.json) {
    Json out = {{"perplexity", of_loss(s.loss)},
                {"perplexity_error", of_loss(s.loss) * s.loss.error()},
                {"tokens", s.loss.count()},
                {"windows", windows.size()},
                {"window", windows[0].size()}};
    if (base)
      out.update({{"base_perplexity", of_loss(s.base_loss)},
                  {"kl_divergence", s.kl.value()},
                  {"kl_divergence_error", s.kl.error()},
                  {"top1_agreement", s.agreement.value()}});
    print_json(out);
    return 0;
  }
  print(fmt::format("perplexity      {:.4f} ± {:.4f}   {} tokens of {} windows of {}\n", of_loss(s.loss),
                    of_loss(s.loss) * s.loss.error(), s.loss.count(), windows.size(), windows[0].size()));
  if (base)
    print(fmt::format("of the base     {:.4f}\nKL divergence   {:.6f} ± {:.6f} from the base\ntop-1 agreement {:.2f} %\n",
                      of_loss(s.base_loss), s.kl.value(), s.kl.error(), 100 * s.agreement.value()));
  return 0;
}

}  // namespace

void add_perplexity(CommandLine& line) {
  CLI::App* sub = line.app.add_subcommand("perplexity",
                                          "How well a model foretells a text, and how far it is from another\nOf each window the "
                                          "second half is scored, as llama.cpp does.");
  const auto flags = std::make_shared<Flags>();
  add_model_flags(*sub, flags->model);
  add_window_flags(*sub, flags->text);
  sub->add_option(
      "--against", flags->against,
      "A base model with the same vocabulary: print mean KL divergence from it and how often both find the same token "
      "most likely; opened as it is, without --quant and --kv-type");
  sub->add_flag("--json", flags->json, "Print one JSON object");
  sub->callback([&line, flags] { line.action = [flags] { return perplexity(*flags); }; });
}

}  // namespace gale::cli
