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

namespace gale {

class ChatTemplate;
class Checkpoint;
class Tokenizer;

/// How an engine is opened. Zero and empty mean: choose well.
struct EngineOptions {
  std::string model = {};  ///< directory, .gguf, .safetensors, .gale, org/name[:TYPE][@revision], "demo", or "random:SHAPE"
  int threads = 0;         ///< compute threads; 0: physical cores by affinity and cgroup quota
  std::string isa = {};  ///< generic, avx2, avx512, avx512_bf16, neon, neon_dotprod, neon_i8mm; the GALE_ISA variable where empty
  std::string quant = {};      ///< re-quantize while loading: q4_0, q4_k_m, q8_0 ...; the type of random weights
  bool exact = false;          ///< f32 activations and KV
  std::string kv_type = {};    ///< f32, f16, bf16, q8_0; bf16 (f32 when exact)
  int64_t context = 0;         ///< slots per sequence; 0: what the model was made for, less where memory is short
  int64_t kv_bytes = 0;        ///< size of the KV pool; 0: max_sequences full contexts or half the free memory
  int64_t step_tokens = 512;   ///< rows of one step: the budget of chunked prefill
  int32_t max_sequences = 16;  ///< sequences in flight; the rest wait
  std::function<void(int64_t done, int64_t total)> progress = {};  ///< bytes loaded, from the opening thread
};

struct ModelInfo {
  std::string architecture, source;
  int64_t parameters = 0, layers = 0, hidden = 0, vocab = 0, max_positions = 0, context = 0;
  int64_t file_bytes = 0, packed_bytes = 0, kv_bytes = 0, kv_bytes_per_token = 0, scratch_bytes = 0;
  std::vector<int32_t> end_tokens;
  std::string isa, kv_type;
  int threads = 0;
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
  /// and queues it. One request can never stall or fail another.
  virtual std::unique_ptr<EventStream> submit(Request request) = 0;
  /// Ends a request soon, with Finish::cancelled; unknown or ended ids are ignored.
  virtual void cancel(uint64_t id) = 0;
  /// Logits of every position of a prompt, f32 [tokens, vocab], computed between steps of the running requests.
  virtual std::vector<float> logits(const std::vector<int32_t>& tokens) = 0;

  virtual const ModelInfo& info() const = 0;
  /// nullptr where the checkpoint has none (random weights).
  virtual const Tokenizer* tokenizer() const = 0;
  virtual const ChatTemplate* chat_template() const = 0;
  virtual const Checkpoint& checkpoint() const = 0;
};

}  // namespace gale
