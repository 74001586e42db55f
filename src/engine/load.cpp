#include <algorithm>
#include <future>

#include "base/cpu.h"
#include "base/cpu_budget.h"
#include "base/fail.h"
#include "base/float_mode.h"
#include "base/json.h"
#include "base/log.h"
#include "engine/auto_quant.h"
#include "engine/cache_identity.h"
#include "engine/calibrate.h"
#include "engine/drafting.h"
#include "engine/model_source.h"
#include "engine/open_drafter.h"
#include "engine/open_tokenizer.h"
#include "engine/runtime.h"
#include "engine/sizing.h"
#include "engine/weight_plan.h"
#include "kvcache/kv_format.h"

namespace gale {
namespace {

constexpr int kMostThreads = 1024;
constexpr int64_t kMostStepTokens = 65536;
constexpr int32_t kMostSequences = 65536;

void check(const EngineOptions& o) {
  require(o.step_tokens >= 1 && o.step_tokens <= kMostStepTokens, ErrorCode::invalid_argument,
          "step_tokens is {}, but must be from 1 to {}", o.step_tokens, kMostStepTokens);
  require(o.max_sequences >= 1 && o.max_sequences <= kMostSequences, ErrorCode::invalid_argument,
          "max_sequences is {}, but must be from 1 to {}", o.max_sequences, kMostSequences);
  require(o.step_seconds > 0, ErrorCode::invalid_argument, "step_seconds is {}, but must be above 0", o.step_seconds);
  require(o.max_queue_tokens >= 0, ErrorCode::invalid_argument,
          "max_queue_tokens is {}, but must be at least 1, or 0 for 16 full contexts", o.max_queue_tokens);
  require(o.prefix_store_bytes >= 0, ErrorCode::invalid_argument, "prefix_store_bytes is {}, but must be at least 0",
          o.prefix_store_bytes);
  require(o.prefix_store.empty() || o.prefix_cache, ErrorCode::invalid_argument,
          "there is nothing to keep in {}: the prefix cache is off", o.prefix_store);
  require(o.draft_max >= 1 && o.draft_max <= kMostDrafted, ErrorCode::invalid_argument,
          "draft_max is {}, but must be from 1 to {}", o.draft_max, kMostDrafted);
  require(o.draft_min >= 0 && o.draft_min <= o.draft_max, ErrorCode::invalid_argument,
          "draft_min is {}, but must be from 0 to draft_max, {}", o.draft_min, o.draft_max);
}

const CpuKernels& choose_kernels(const EngineOptions& options) { return cpu_kernels(isa_to_run(detect_cpu(), options.isa)); }

void load_model(Runtime& out, const EngineOptions& options, bool shape_only) {
  const Checkpoint& checkpoint = *out.checkpoint;
  const Arch& arch = find_architecture(checkpoint.architecture());
  Loader::Options how;
  how.progress = options.progress;
  how.shape_only = shape_only;
  how.cpu = out.cpu;
  std::optional<WeightPlan> plan;
  std::shared_ptr<const Checkpoint> weights = out.checkpoint;
  QuantRecipe recipe = QuantRecipe::of(options);
  recipe.files = out.recipe.files;
  if (!recipe.empty()) {
    plan = WeightPlan::of(recipe, checkpoint);
    const CalibrationRun run{.pool = *out.pool, .isa = options.isa, .exact = options.exact, .progress = options.progress};
    if (!shape_only) weights = calibrate(out.checkpoint, recipe, *plan, run);
    requantize(*plan, checkpoint, *weights, how);
  }
  Loader loader(weights, *out.pool, std::move(how));
  out.model = arch.build(Config(checkpoint.config(), checkpoint.config_source()), Weights(loader));
  loader.finish();
  if (plan && !shape_only)
    if (const std::string missed = plan->message(); !missed.empty()) log_warning("{}", missed);
  if (!shape_only)
    if (const auto sample = loader.largest()) out.tuning = tune(*out.cpu, *out.pool, *sample);
  out.weights = loader.loaded();
  out.info.file_bytes = loader.file_bytes() + checkpoint.sizes().bytes - weights->sizes().bytes;
  out.info.packed_bytes = loader.packed_bytes();
  out.mapped_bytes = loader.mapped_bytes();
}

void fill_info(Runtime& out, const EngineOptions& options) {
  ModelInfo& info = out.info;
  const Checkpoint& checkpoint = *out.checkpoint;
  info.architecture = checkpoint.architecture();
  info.source = options.model;
  info.quant = options.quant;
  info.parameters = checkpoint.sizes().parameters;
  info.layers = int64_t(out.model->cache_layers().size());
  info.hidden = out.model->hidden_width();
  info.vocab = out.model->vocab();
  info.max_positions = out.model->max_positions();
  info.end_tokens = end_tokens(checkpoint, out.tokenizer.get(), info.vocab);
  info.isa = isa_name(out.cpu->isa);
  info.threads = out.pool->threads();
}

KvFormat kv_format(const EngineOptions& options) { return choose_kv_format(options.kv_type, options.exact, options.kv_block); }

std::vector<int32_t> taps_of(const Runtime& runtime) {
  return runtime.drafter ? runtime.drafter->taps() : std::vector<int32_t>();
}

// Everything about memory but the memory itself. `available`: bytes free once the weights are packed, 0 where unknown.
struct MemoryPlan {
  KvFormat kv_format;
  Arena::Plan scratch;
  KvPlan kv;
};

MemoryPlan plan_memory(Runtime& out, const EngineOptions& options, int64_t available) {
  MemoryPlan plan;
  const KvFormat format = kv_format(options);
  const auto needs = [&](int64_t slots) { return KvCache::needs(out.model->cache_layers(), format, slots, out.step_tokens); };
  plan.kv_format = format;
  plan.scratch = plan_scratch(*out.model, *out.cpu, *out.pool, out.precision, format, out.step_tokens, taps_of(out));
  out.info.kv_type = kv_format_name(format);
  for (const KvNeed& pool : needs(1)) out.info.kv_bytes_per_token += pool.block_bytes / format.block_slots;
  out.info.scratch_bytes = int64_t(plan.scratch.bytes);
  plan.kv = plan_kv(options, needs, out.model->max_positions(),
                    available == 0 ? 0 : std::max<int64_t>(available - out.info.scratch_bytes, 1));
  out.info.context = plan.kv.context;
  out.info.kv_bytes = plan.kv.bytes;
  return plan;
}

// Returns the key of its names.
KeyedHash::Key open_store(Runtime& out, const EngineOptions& options) {
  const auto folder = std::make_shared<const StoreFolder>(options.prefix_store);
  BlockStore::Options how{.bytes = options.prefix_store_bytes, .block_bytes = {}};
  for (size_t pool = 0; pool < out.kv->pools(); ++pool) how.block_bytes.push_back(out.kv->block_bytes(int32_t(pool)));
  if (how.block_bytes.empty()) return folder->key();  // a model that keeps nothing
  const CacheIdentity identity =
      cache_identity(*out.checkpoint, out.weights, out.model->cache_layers(), out.kv->format(), out.precision, out.cpu->isa);
  out.store = std::make_unique<BlockStore>(folder, identity.digest(KeyedHash(folder->key())), std::move(how));
  out.kv->attach(*out.store);
  return folder->key();
}

// `share`: of the memory that is free.
void make_memory(Runtime& out, const EngineOptions& options, double share) {
  // The system counts the pages of a mapped file as free: they are, until somebody wants to read the weights.
  const auto available = int64_t(double(available_memory()) * share);
  MemoryPlan plan = plan_memory(out, options, available == 0 ? 0 : std::max<int64_t>(available - out.mapped_bytes, 1));
  out.kv = std::make_unique<KvCache>(out.model->cache_layers(), plan.kv_format, plan.kv.blocks, out.step_tokens);
  if (options.prefix_cache) {
    const auto key = options.prefix_store.empty() ? KeyedHash::random_key() : open_store(out, options);
    out.names = std::make_unique<const BlockNames>(key, plan.kv_format.block_slots);
  }
  out.arena = std::make_unique<Arena>(std::move(plan.scratch));
}

Runtime start(const EngineOptions& options, std::shared_ptr<const QuantFiles> files = nullptr,
              std::shared_ptr<ThreadPool> pool = nullptr) {
  check(options);
  kv_format(options);
  if (!options.prefix_store.empty()) const StoreFolder told_before_a_long_load(options.prefix_store);
  Runtime out;
  out.recipe = QuantRecipe::of(options);
  out.recipe.files = std::move(files);
  out.recipe = out.recipe.read();
  check_drafter(options);
  out.cpu = &choose_kernels(options);
  out.pool = pool ? std::move(pool) : std::make_shared<ThreadPool>(choose_threads(options.threads));
  out.precision = options.exact ? Precision::exact : Precision::standard;
  out.step_tokens = options.step_tokens;
  out.max_sequences = options.max_sequences;
  out.step_seconds = options.step_seconds;
  return out;
}

Runtime finish(Runtime out, const EngineOptions& options, double share = 1) {
  // A vocabulary of 150 000 takes longer than the weights of a packed file. Other weights take longer than any vocabulary: what
  // is wrong with one is better said before them.
  const bool beside = out.checkpoint->packed() != nullptr;
  auto tokenizer = std::async(beside ? std::launch::async : std::launch::deferred, [checkpoint = out.checkpoint] {
    const StandardFloats mode;
    return open_tokenizer(*checkpoint);
  });
  if (!beside) out.tokenizer = tokenizer.get();
  out.chat_template = open_chat_template(*out.checkpoint, options.chat_template);
  load_model(out, options, false);
  out.recipe.files.reset();
  if (beside) out.tokenizer = tokenizer.get();
  fill_info(out, options);
  out.drafter = open_drafter(options, out);  // before the cache takes what is left
  make_memory(out, options, share);
  return out;
}

Runtime load(const EngineOptions& asked, std::shared_ptr<ThreadPool> pool, double share) {
  const StandardFloats mode;  // vectors and rope factors are made on this thread, which is the host's
  if (is_random_model(asked.model)) resolve_auto(asked, nullptr);  // refused before weights are made
  Runtime out = start(asked, nullptr, std::move(pool));
  EngineOptions options = asked;
  const LocalModel local = local_model(asked.model, asked.quant, ModelFiles::all);
  options.model = local.path;
  options.quant = local.quant;
  out.checkpoint = open_model(options.model, options.quant, *out.pool);
  const EngineOptions resolved = resolve_auto(options, out.checkpoint, out.recipe.files);
  return finish(std::move(out), resolved, share);
}

}  // namespace

int choose_threads(int wanted) {
  require(wanted >= 0 && wanted <= kMostThreads, ErrorCode::invalid_argument, "threads is {}, but must be from 0 (choose) to {}",
          wanted, kMostThreads);
  return wanted > 0 ? wanted : detect_cpu_budget().threads;
}

Runtime load_runtime(const EngineOptions& asked) { return load(asked, nullptr, 1); }

Runtime load_beside(const EngineOptions& options, std::shared_ptr<ThreadPool> pool) {
  constexpr double kShare = 0.25;  // of the memory left, of which a cache takes half where it is short
  return load(options, std::move(pool), kShare);
}

Runtime load_runtime(const EngineOptions& options, std::shared_ptr<const Checkpoint> checkpoint) {
  const StandardFloats mode;
  Runtime out = start(options);
  out.checkpoint = std::move(checkpoint);
  const EngineOptions resolved = resolve_auto(options, out.checkpoint, out.recipe.files);
  return finish(std::move(out), resolved);
}

ReloadedModel reload_model(const Runtime& current, const EngineOptions& asked) {
  const StandardFloats mode;
  const QuantRecipe recipe = QuantRecipe::of(asked).read();
  EngineOptions options = resolve_auto(asked, current.checkpoint, recipe.files);
  if (is_random_model(options.model)) options.model = "the model";  // made by now, and quantized like any other
  Runtime fresh = start(options, recipe.files);
  fresh.checkpoint = current.checkpoint;
  const auto available = int64_t(available_memory());
  const int64_t needed = predict_load(options, fresh.checkpoint, fresh.recipe.files).info.packed_bytes;
  require(available == 0 || needed < available, ErrorCode::out_of_memory,
          "the model takes {} bytes in its new form beside the old one, but {} are free", needed, available);
  load_model(fresh, options, false);
  ReloadedModel out;
  out.scratch = plan_scratch(*fresh.model, *fresh.cpu, *current.pool, fresh.precision, kv_format(options), fresh.step_tokens,
                             taps_of(current));
  out.info = current.info;
  out.info.quant = options.quant;
  out.info.file_bytes = fresh.info.file_bytes;
  out.info.packed_bytes = fresh.info.packed_bytes;
  out.info.scratch_bytes = int64_t(out.scratch.bytes);
  out.model = std::move(fresh.model);
  out.weights = std::move(fresh.weights);
  out.tuning = fresh.tuning;
  return out;
}

Prediction predict_load(const EngineOptions& asked, std::shared_ptr<const Checkpoint> checkpoint,
                        std::shared_ptr<const QuantFiles> files) {
  const EngineOptions options = resolve_auto(asked, checkpoint, files);
  Runtime out = start(options, std::move(files));
  out.checkpoint = std::move(checkpoint);
  load_model(out, options, true);
  fill_info(out, options);
  Prediction prediction;
  prediction.available_bytes = int64_t(available_memory());
  const int64_t left = std::max<int64_t>(prediction.available_bytes - out.info.packed_bytes, 1);
  try {
    plan_memory(out, options, prediction.available_bytes == 0 ? 0 : left);
  } catch (const Error& e) {
    if (e.code() != ErrorCode::out_of_memory) throw;
    prediction.problem = e.what();
  }
  prediction.info = std::move(out.info);
  return prediction;
}

}  // namespace gale
