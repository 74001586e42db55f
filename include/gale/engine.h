#pragma once
#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "gale/error.h"
#include "gale/request.h"
#include "gale/weights.h"

namespace gale {

class ChatTemplate;
class Checkpoint;
class Tokenizer;

/// How an engine is opened. Zero and empty mean: choose well.
struct EngineOptions {
  std::string model = {};  ///< directory, .gguf, .safetensors, .gale, org/name[:TYPE][@revision], "demo", or "random:SHAPE"
  int threads = 0;         ///< compute threads; 0: physical cores by affinity and cgroup quota
  std::string isa = {};  ///< generic, avx2, avx512, avx512_bf16, neon, neon_dotprod, neon_i8mm; the GALE_ISA variable where empty
  std::string quant = {};         ///< re-quantize while loading: q4_0, q4_k_m, q8_0 ..., auto; the type of random weights
  std::string topology = {};      ///< a YAML file that pins types to layers or to names (see docs/howto/quantize.md)
  std::string imatrix = {};       ///< an importance matrix that weighs the errors of `quant`: .gguf, .dat or .cimatrix
  std::string calibrate = {};     ///< a text that gptq2 to gptq8 are calibrated by; a small one that is built in where empty
  bool quant_experts = false;     ///< `quant` is for the experts of a mixture only
  bool exact = false;             ///< f32 activations and KV
  std::string kv_type = {};       ///< f32, f16, bf16, fp8, q8_0, q4_0, or two as keys/values; bf16 (f32 when exact)
  int64_t kv_block = 64;          ///< slots of a block, which texts share whole: 16, 32 or 64
  int64_t context = 0;            ///< slots per sequence; 0: what the model was made for, less where memory is short
  int64_t kv_bytes = 0;           ///< size of the KV pool; 0: max_sequences full contexts or half the free memory
  int64_t step_tokens = 512;      ///< rows of one step: the budget of chunked prefill
  int32_t max_sequences = 16;     ///< sequences in flight; the rest wait
  int64_t max_queue_tokens = 0;   ///< prompt tokens that may wait, beyond them submit() refuses; 0: 16 full contexts
  double step_seconds = 0.1;      ///< how long a step may take while somebody waits for its next token; prompts give way
  bool prefix_cache = true;       ///< keep what was computed for texts that begin the same way
  std::string prefix_store = {};  ///< a folder where it is kept too when memory is short or the engine ends; "": none
  int64_t prefix_store_bytes = int64_t(8) << 30;  ///< on disk at most
  /// Who guesses ahead: "ngram" (what came next where the text quotes itself), "model", "none"; empty: draft_model where there is
  /// one.
  std::string draft = {};
  std::string draft_model = {};    ///< a smaller model that writes ahead, named as `model` is; best one with the same vocabulary
  int32_t draft_max = 16;          ///< tokens guessed at once where a request says nothing, 1 to 128; fewer where it does not pay
  int32_t draft_min = 0;           ///< and at least, even where they do not pay
  std::string chat_template = {};  ///< a .jinja or .json file with the chat template to use instead of the model's own
  std::function<void(int64_t done, int64_t total)> progress = {};  ///< bytes loaded, from the opening thread
};

struct ModelInfo {
  std::string architecture, source;
  std::string quant;  ///< the type it was re-quantized to, in the place of "auto" the one that was chosen; "" for none
  int64_t parameters = 0, layers = 0, hidden = 0, vocab = 0, max_positions = 0, context = 0;
  int64_t file_bytes = 0, packed_bytes = 0, kv_bytes = 0, kv_bytes_per_token = 0, scratch_bytes = 0;
  std::vector<int32_t> end_tokens;
  std::string isa, kv_type;
  int threads = 0;
};

/// What an engine is doing, and has done since it was opened.
struct EngineStats {
  int64_t running = 0, waiting = 0, waiting_tokens = 0;  ///< sequences, sequences, prompt tokens of those that wait
  int64_t kv_held_bytes = 0, kv_kept_bytes = 0;          ///< of the KV pool: in use, and kept for texts that may come
  int64_t steps = 0, prompt_tokens = 0, cached_tokens = 0, generated_tokens = 0, preemptions = 0;
  double step_seconds = 0;                          ///< of all steps: choosing who runs, drafts, the model, tokens, events
  double model_seconds = 0;                         ///< of these the model and the choice of tokens
  int64_t drafted_tokens = 0, accepted_tokens = 0;  ///< guessed ahead, and of these chosen by the model too
  int64_t store_bytes = 0;                          ///< of the prefix store, on disk
  int64_t stored_blocks = 0, restored_blocks = 0;   ///< written to it, and read back
  int64_t dropped_blocks = 0;                       ///< that came faster than the disk takes them
};

/// A text to go on with another day.
struct Session {
  std::vector<int32_t> tokens;
  std::string note;  ///< the caller's own, kept with them
};

/// The events of one request, in order. One consumer thread. Destroying it cancels the request.
class EventStream {
 public:
  virtual ~EventStream() = default;
  /// Blocks for the next event; after EndEvent: nullopt. With a timeout: nullopt also when it passes.
  virtual std::optional<Event> next() = 0;
  virtual std::optional<Event> next(std::chrono::milliseconds timeout) = 0;
  virtual uint64_t id() const = 0;
};

/// One model on one device set, and the one thread that steps it. Every method may be called from any thread.
class Engine {
 public:
  /// Loads the model. Throws Error for anything wrong with it, before any thread starts.
  static std::unique_ptr<Engine> open(const EngineOptions& options);
  virtual ~Engine() = default;

  /// Checks the request (Error{invalid_argument}: empty prompt, ids out of range, parameters, a prompt longer than the context)
  /// and queues it; Error{busy} where too much is waiting. One request can never stall or fail another.
  virtual std::unique_ptr<EventStream> submit(Request request) = 0;
  virtual EngineStats stats() const = 0;
  /// Ends a request soon, with Finish::cancelled; unknown or ended ids are ignored.
  virtual void cancel(uint64_t id) = 0;
  /// Logits of every position of a prompt, f32 [tokens, vocab], computed between steps of the running requests.
  virtual std::vector<float> logits(const std::vector<int32_t>& tokens) = 0;

  /// Writes a session to a file, with what is here of the keys and values of its tokens (docs/why/kv-cache.md). The file appears
  /// whole or not at all. Throws Error{out_of_memory} where the disk is full. `salt`: as in Request.
  virtual void save_session(const std::string& file, const Session& session, const std::string& salt = {}) = 0;
  /// Reads one: a request that begins with its tokens starts behind them, as after the prompt that made them. Keys and values are
  /// believed as the model is: take a session from where you would take a model. Where they cannot be used (another version of
  /// the program, another processor, a damaged end) they are computed again, with a warning. Throws Error{not_found},
  /// Error{corrupt}, and Error{invalid_argument} where the session is another model's or in another KV type.
  virtual Session load_session(const std::string& file, const std::string& salt = {}) = 0;

  /// Quantizes the model anew from its checkpoint, `type` as in EngineOptions::quant, "" for the types of the file. Returns when
  /// that is done: requests that run end first, those that come meanwhile wait. Both forms are in memory for a moment; where
  /// there is too little of it, or for any other Error thrown, the model stays as it was.
  virtual void requantize(const std::string& type) = 0;
  /// The model's matrices, in the order it reads them.
  virtual std::vector<WeightInfo> weights() const = 0;
  /// Rows [first, first + count) of a matrix as its values are now: f32 [count, columns]. `expert`: of a mixture, else 0. Throws
  /// Error{not_found}, or Error{invalid_argument} out of range.
  virtual std::vector<float> weight_rows(const std::string& name, int64_t first, int64_t count, int64_t expert = 0) const = 0;
  /// The tensors of the checkpoint that a matrix was read from. Throws Error{not_found}.
  virtual std::vector<WeightPart> weight_parts(const std::string& name) const = 0;

  /// Valid as long as the engine; requantize() makes another.
  virtual const ModelInfo& info() const = 0;
  /// nullptr where the checkpoint has none (random weights).
  virtual const Tokenizer* tokenizer() const = 0;
  virtual const ChatTemplate* chat_template() const = 0;
  virtual const Checkpoint& checkpoint() const = 0;
};

}  // namespace gale
