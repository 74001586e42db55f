#include "engine/calibrate.h"

#include <algorithm>
#include <filesystem>
#include <map>
#include <set>

#include "base/checked.h"
#include "base/cpu_budget.h"
#include "base/fail.h"
#include "base/file.h"
#include "base/first_error.h"
#include "base/json.h"
#include "base/log.h"
#include "base/threads.h"
#include "engine/calibration_text.h"
#include "engine/input_sums.h"
#include "engine/open_engine.h"
#include "engine/open_tokenizer.h"
#include "engine/runtime.h"
#include "models/model.h"
#include "nn/config.h"

namespace gale {
namespace {

constexpr int64_t kWindow = 512;       // tokens read together
constexpr size_t kFewTokens = 4000;    // about what the built-in text has
constexpr size_t kProbe = 8;           // tokens that show which matrices share an input
constexpr size_t kSumsShare = 4;       // of the memory that is free: one part for sums
constexpr int64_t kRowsPerPiece = 16;  // of a matrix, rounded together

using Input = InputSums::Input;

bool any_wanted(const std::shared_ptr<const Checkpoint>& source, WeightPlan& plan, ThreadPool& pool) {
  bool any = false;
  Loader::Options how;
  how.shape_only = true;
  how.requantize = [&](std::string_view name, int64_t rows, int64_t columns) -> const Format* {
    const Format* format = plan.choice(std::string(name) + ".weight", rows, columns);
    any |= format != nullptr && format->quantize_by != nullptr;
    return nullptr;
  };
  Loader loader(source, pool, std::move(how));
  find_architecture(source->architecture()).build(Config(source->config(), source->config_source()), Weights(loader));
  return any;
}

// Each window begins with what the tokenizer puts before a text; the last one may be short.
TokenWindows windows_of(const Tokenizer& tokenizer, std::string_view text, int64_t most) {
  std::vector<int32_t> tokens = tokenizer.encode(std::string(text), {.add_special = false, .parse_special = true});
  const std::vector<int32_t> before = tokenizer.encode("");
  TokenWindows out;
  const int64_t size = std::max<int64_t>(most - int64_t(before.size()), 1);
  for (int64_t at = 0; at < int64_t(tokens.size()); at += size) {
    std::vector<int32_t>& window = out.emplace_back(before);
    const auto end = std::min(at + size, int64_t(tokens.size()));
    window.insert(window.end(), tokens.begin() + at, tokens.begin() + end);
  }
  return out;
}

// A model that is run to see what goes into its weights.
struct Watched {
  std::unique_ptr<InputSums> sums;
  std::unique_ptr<Engine> engine;  // after what it uses
};

Watched open_watched(const std::shared_ptr<const Checkpoint>& checkpoint, const CalibrationRun& run, size_t window) {
  EngineOptions options;
  options.model = checkpoint->path().string();
  options.threads = run.pool.threads();
  options.isa = run.isa;
  options.exact = run.exact;
  options.context = int64_t(window);
  options.step_tokens = int64_t(window);
  options.max_sequences = 1;
  Runtime runtime = load_runtime(options, checkpoint);
  Watched out;
  out.sums = std::make_unique<InputSums>(runtime.weights, run.pool);
  runtime.watch = out.sums.get();
  out.engine = start_engine(options, std::move(runtime));
  return out;
}

// A weight on its way, all experts of one kind together.
struct Made {
  std::string name;
  Shape shape;
  const Format* format;
  std::shared_ptr<std::vector<std::byte>> bytes;
};

class Calibrator {
 public:
  Calibrator(std::shared_ptr<const Checkpoint> source, WeightPlan& plan, const CalibrationRun& run, const TokenWindows& windows)
      : source_(std::move(source)),
        plan_(plan),
        run_(run),
        watched_(open_watched(source_, run, std::ranges::max(windows, {}, &TokenWindows::value_type::size).size())) {}

  std::shared_ptr<const Checkpoint> make(const TokenWindows& windows) {
    find_inputs(windows.front());
    // The model that runs is the one as it is, in every pass: what comes out does not depend on how many there are.
    const int64_t most = run_.sums_bytes > 0 ? run_.sums_bytes : int64_t(available_memory() / kSumsShare);
    const auto end_of_pass = [&](size_t first) {
      size_t last = first + 1;
      for (int64_t bytes = inputs_[first].bytes(); last < inputs_.size(); ++last)
        if ((bytes += inputs_[last].bytes()) > most && most > 0) break;
      return last;
    };
    int64_t done = 0, total = 0;
    const int64_t bytes = source_->sizes().bytes;  // each window runs through all of them
    for (size_t first = 0; first < inputs_.size(); first = end_of_pass(first)) total += int64_t(windows.size());
    for (size_t first = 0, last; first < inputs_.size(); first = last) {
      last = end_of_pass(first);
      const std::span inputs = std::span(inputs_).subspan(first, last - first);
      watched_.sums->start(inputs);
      for (const auto& window : windows) {
        watched_.engine->logits(window);
        if (run_.progress) run_.progress(++done * bytes, total * bytes);
      }
      for (const Input& input : inputs) round(input, watched_.sums->take(input));
    }
    if (unseen_ > 0)
      plan_.note(
          fmt::format("{} matrices of experts saw no word of the text, {} first: they are rounded to nearest; a longer text "
                      "reaches more",
                      unseen_, first_unseen_));
    return with_made();
  }

 private:
  // Inputs of matrices that are to be made, in the order of the model, each with those of its readers alone.
  void find_inputs(std::vector<int32_t> probe) {
    probe.resize(std::min(probe.size(), kProbe));
    watched_.engine->logits(probe);
    weights_ = watched_.engine->weights();
    for (const WeightInfo& w : weights_) {
      const Format* format = plan_.choice(w.name + ".weight", std::max<int64_t>(w.experts, 1) * w.rows, w.columns);
      formats_.push_back(format != nullptr && format->quantize_by != nullptr && w.format != format->name ? format : nullptr);
    }
    inputs_ = watched_.sums->inputs();
    for (Input& input : inputs_) {
      std::erase_if(input.readers, [&](const InputSums::Matrix& m) { return formats_[m.weight] == nullptr; });
      if (!input.readers.empty()) input.leader = input.readers.front();
    }
    std::erase_if(inputs_, [](const Input& input) { return input.readers.empty(); });
  }

  void round(const Input& input, std::unique_ptr<InputHessian> sums) {
    const bool seen = sums->rows() > 0;
    GptqPlan plan = plan_gptq(*sums, run_.pool);
    sums.reset();
    for (const InputSums::Matrix& m : input.readers) {
      const WeightInfo& w = weights_[m.weight];
      if (!seen && unseen_++ == 0) first_unseen_ = fmt::format("{}, expert {}", w.name, m.expert);
      const Format& format = *formats_[m.weight];
      if (auto weights = plan_.importance(w.name, w.experts > 0 ? m.expert : -1, w.columns, format); !weights.empty())
        plan.importance = std::move(weights);  // it decides the scales then
      round(w, format, m.expert, plan);
    }
  }

  void round(const WeightInfo& w, const Format& format, int64_t expert, const GptqPlan& plan) {
    Made& made = made_[w.name];
    const int64_t stride = row_bytes(format.stored, w.columns, w.name), experts = std::max<int64_t>(w.experts, 1);
    if (made.format == nullptr) {
      made = {w.name, w.experts > 0 ? Shape{w.experts, w.rows, w.columns} : Shape{w.rows, w.columns}, &format,
              std::make_shared<std::vector<std::byte>>(size_t(experts * w.rows * stride))};
    }
    std::byte* out = made.bytes->data() + expert * w.rows * stride;
    FirstError errors;
    run_.pool.for_each(ceil_div(w.rows, kRowsPerPiece), 1, [&](int64_t begin, int64_t end) {
      errors.guard([&] {
        for (int64_t first = begin * kRowsPerPiece; first < std::min(end * kRowsPerPiece, w.rows); first += kRowsPerPiece) {
          const int64_t n = std::min(kRowsPerPiece, w.rows - first);
          format.quantize_by(plan, watched_.engine->weight_rows(w.name, first, n, expert).data(), n, out + first * stride);
        }
      });
    });
    errors.rethrow();
  }

  std::shared_ptr<const Checkpoint> with_made() const {
    std::set<const RawTensor*> replaced;
    std::vector<RawTensor> tensors;
    for (const auto& [name, made] : made_) {
      for (const TensorGroup& group : groups_of(made))
        for (const auto& [part, tensor] : group.parts) replaced.insert(tensor);
      RawTensor tensor;
      tensor.name = name + ".weight";
      tensor.type = made.format->stored;
      tensor.shape = made.shape;
      tensor.bytes = *made.bytes;
      tensor.owner = made.bytes;
      tensor.source = "calibrated";
      tensors.push_back(std::move(tensor));
    }
    if (tensors.empty()) return source_;
    for (const RawTensor& tensor : source_->tensors())
      if (!replaced.contains(&tensor)) tensors.push_back(tensor);
    return Checkpoint::assemble(source_->path(), source_->config(), std::move(tensors));
  }

  // In the source: one, or one for each expert.
  std::vector<TensorGroup> groups_of(const Made& made) const {
    std::vector<TensorGroup> out = {group_of(*source_, made.name)};
    if (!out.front().parts.empty() || made.shape.rank() != 3) return out;
    const size_t dot = made.name.rfind('.');
    for (int64_t e = 0; e < made.shape[0]; ++e)
      out.push_back(group_of(*source_, fmt::format("{}.{}{}", made.name.substr(0, dot), e, made.name.substr(dot))));
    return out;
  }

  const std::shared_ptr<const Checkpoint> source_;
  WeightPlan& plan_;
  const CalibrationRun& run_;
  const Watched watched_;
  std::vector<WeightInfo> weights_;
  std::vector<const Format*> formats_;  // of each, nullptr where it is not to be made
  std::vector<Input> inputs_;
  std::map<std::string, Made> made_;
  int64_t unseen_ = 0;
  std::string first_unseen_;
};

}  // namespace

std::shared_ptr<const Checkpoint> calibrate(const std::shared_ptr<const Checkpoint>& source, const QuantRecipe& recipe,
                                            WeightPlan& plan, const CalibrationRun& run) {
  if (!any_wanted(source, plan, run.pool)) {
    if (!recipe.calibrate.empty()) plan.note("nothing becomes gptq2 to gptq8: no text was needed to calibrate");
    return source;
  }
  const auto tokenizer = open_tokenizer(*source);
  if (tokenizer == nullptr) {
    require(recipe.calibrate.empty(), ErrorCode::invalid_argument, "{} has no tokenizer: {} cannot be read to calibrate by",
            source->path().string(), recipe.calibrate);
    plan.note("there is no tokenizer to read a text with: GPTQ is not calibrated and rounds to nearest");
    return source;
  }
  const int64_t positions = source->config().value("max_position_embeddings", kWindow);
  const TokenWindows windows =
      windows_of(*tokenizer, recipe.calibrate.empty() ? std::string(calibration_text()) : read_text(recipe.calibrate),
                 std::clamp<int64_t>(positions, 2, kWindow));
  require(!windows.empty(), ErrorCode::invalid_argument, "{} has no word to calibrate by", recipe.calibrate);
  size_t tokens = 0;
  for (const auto& window : windows) tokens += window.size();
  if (!recipe.calibrate.empty() && tokens < kFewTokens)
    plan.note(
        fmt::format("{} has {} tokens: so few may calibrate GPTQ worse than the text that is built in; 100 KB of text or more do "
                    "well",
                    recipe.calibrate, tokens));
  if (recipe.calibrate.empty())
    plan.note(
        fmt::format("GPTQ is calibrated by a text of {} tokens that is built in; with --calibrate TEXT, like what the model is "
                    "for, it errs less",
                    tokens));
  return calibrate(source, windows, plan, run);
}

std::shared_ptr<const Checkpoint> calibrate(const std::shared_ptr<const Checkpoint>& source, const TokenWindows& windows,
                                            WeightPlan& plan, const CalibrationRun& run) {
  return Calibrator(source, plan, run, windows).make(windows);
}

}  // namespace gale
