#pragma once
#include <memory>

#include "chat/chat_template.h"
#include "checkpoint/checkpoint.h"
#include "engine/quant_recipe.h"
#include "gale/engine.h"
#include "kvcache/block_store.h"
#include "models/model.h"
#include "speculation/drafter.h"
#include "tokenizer/tokenizer.h"

namespace gale {

/// What an engine runs on, all of it made before its thread starts. From then on the parts that change (pool, arena, kv) are the
/// engine thread's.
struct Runtime {
  std::shared_ptr<const Checkpoint> checkpoint;
  std::shared_ptr<ThreadPool> pool;  ///< also that of a draft model
  const CpuKernels* cpu = nullptr;
  Precision precision = Precision::standard;
  Tuning tuning;
  std::unique_ptr<Model> model;
  std::vector<LoadedWeight> weights;  ///< what the model is made of
  InputWatch* watch = nullptr;        ///< sees what goes into the weights; outlives the engine
  std::unique_ptr<Tokenizer> tokenizer;
  std::unique_ptr<ChatTemplate> chat_template;
  std::unique_ptr<BlockStore> store;  ///< of what kv has no room for; null: none
  std::unique_ptr<KvCache> kv;
  std::unique_ptr<const BlockNames> names;  ///< null: texts share nothing
  std::unique_ptr<Arena> arena;
  std::unique_ptr<Drafter> drafter;  ///< null: no drafts
  QuantRecipe recipe;                ///< with its files, of the options that it was started with
  int64_t step_tokens = 0;
  int32_t max_sequences = 0;
  double step_seconds = 0;
  ModelInfo info;
  int64_t mapped_bytes = 0;  ///< of the weights, what lies in a packed file
};

/// Opens everything. Throws Error.
Runtime load_runtime(const EngineOptions& options);
/// The same from a checkpoint that is already open: options.model is only its name.
Runtime load_runtime(const EngineOptions& options, std::shared_ptr<const Checkpoint> checkpoint);

/// Another model beside the one that `pool` is of, which takes turns with it: a draft model. Throws Error.
Runtime load_beside(const EngineOptions& options, std::shared_ptr<ThreadPool> pool);

/// The parts of a runtime that the type of its weights decides.
struct ReloadedModel {
  std::unique_ptr<Model> model;
  std::vector<LoadedWeight> weights;
  Tuning tuning;
  Arena::Plan scratch;
  ModelInfo info;
};
/// The model once more from its checkpoint, with options.quant; `current` runs on. Throws Error.
ReloadedModel reload_model(const Runtime& current, const EngineOptions& options);

/// What load_runtime would make of the same options.
struct Prediction {
  ModelInfo info;               ///< as the opened engine's would be; context and kv_bytes are 0 where the context does not fit
  int64_t available_bytes = 0;  ///< memory of this process now, 0 where unknown
  std::string problem;          ///< why the context does not fit, ""
};
/// Goes the way of load_runtime without reading a byte of the weights and without taking the memory. Throws Error for what could
/// not be opened for any other reason than memory.
/// `files`: of its recipe, where they are read already.
Prediction predict_load(const EngineOptions& options, std::shared_ptr<const Checkpoint> checkpoint,
                        std::shared_ptr<const QuantFiles> files = nullptr);

/// Compute threads: as asked for, or what the machine has. Throws Error{invalid_argument} out of range.
int choose_threads(int wanted);

}  // namespace gale
