#include "gale/engine.h"

#include <atomic>
#include <cmath>
#include <deque>
#include <mutex>
#include <thread>

#include "base/clock.h"
#include "base/cpu_budget.h"
#include "base/fail.h"
#include "engine/beams.h"
#include "engine/best_of.h"
#include "engine/open_engine.h"
#include "engine/overflow.h"
#include "engine/session.h"
#include "engine/stepper.h"
#include "engine/weight_access.h"
#include "gale/features.h"

namespace gale {
namespace {

constexpr int32_t kMostChoices = 128;
constexpr int64_t kQueueContexts = 16;
constexpr float kMostPenalty = 100;

class Stream final : public EventStream {
 public:
  Stream(uint64_t id, int32_t choices, std::shared_ptr<EventQueue> events, std::shared_ptr<Inbox> inbox)
      : id_(id), going_(choices), events_(std::move(events)), inbox_(std::move(inbox)) {}
  ~Stream() override {
    if (going_ > 0) inbox_->cancel(id_);
  }

  std::optional<Event> next() override { return note(events_->next()); }
  std::optional<Event> next(std::chrono::milliseconds timeout) override {
    return note(events_->next(std::chrono::steady_clock::now() + timeout));
  }
  uint64_t id() const override { return id_; }

 private:
  std::optional<Event> note(std::optional<Event> event) {
    if (event && std::holds_alternative<EndEvent>(*event)) --going_;
    return event;
  }
  uint64_t id_;
  int32_t going_;  // choices whose end was not seen
  std::shared_ptr<EventQueue> events_;
  std::shared_ptr<Inbox> inbox_;
};

class EngineImpl final : public Engine {
 public:
  EngineImpl(EngineOptions options, Runtime runtime)
      : options_(std::move(options)),
        runtime_(std::move(runtime)),
        infos_{runtime_.info},
        info_(&infos_.front()),
        weights_(std::make_shared<const std::vector<LoadedWeight>>(std::move(runtime_.weights))),
        inbox_(std::make_shared<Inbox>()),
        stepper_(runtime_, *inbox_),
        thread_([this] { stepper_.run(); }) {}
  ~EngineImpl() override {
    inbox_->stop();
    thread_.join();
  }

  std::unique_ptr<EventStream> submit(Request request) override {
    check_limits(request);
    if (request.best_of <= request.choices) return submit_all(std::move(request));
    const int32_t wanted = std::exchange(request.choices, request.best_of);
    const bool logprobs = request.sampling.logprobs >= 0;
    request.sampling.logprobs = std::max(request.sampling.logprobs, 0);
    const int32_t generated = request.choices;
    return best_of(submit_all(std::move(request)), generated, wanted, logprobs);
  }

  EngineStats stats() const override { return stepper_.stats(); }
  void cancel(uint64_t id) override { inbox_->cancel(id); }

  std::vector<float> logits(const std::vector<int32_t>& tokens) override {
    check_prompt(tokens);
    const int64_t bytes = int64_t(tokens.size()) * info().vocab * int64_t(sizeof(float));
    const int64_t available = int64_t(available_memory());
    require(available == 0 || bytes < available, ErrorCode::out_of_memory,
            "the logits of {} tokens take {} bytes, but {} are free", tokens.size(), bytes, available);
    auto job = std::make_unique<Job>(++last_id_, tokens, SamplerChain({}, info().vocab));
    job->request = job->id;
    job->all_rows = true;
    if (runtime_.names) job->root = runtime_.names->root("");
    job->rows.resize(size_t(bytes) / sizeof(float));
    std::future<std::vector<float>> result = job->logits.get_future();
    inbox_->submit(std::move(job));
    return result.get();
  }

  void requantize(const std::string& type) override {
    const std::lock_guard one(requantizing_);
    EngineOptions options = options_;
    options.quant = type;
    if (type.empty()) {  // as the file has it
      options.topology.clear();
      options.imatrix.clear();
      options.calibrate.clear();
      options.quant_experts = false;
    }
    require(runtime_.watch == nullptr, ErrorCode::invalid_argument,
            "what goes into the weights is being collected: they cannot be exchanged now");
    auto made = std::make_shared<ReloadedModel>(reload_model(runtime_, options));
    const CacheIdentity identity = runtime_.store ? identity_of(*made->model, made->weights) : CacheIdentity();
    Change change;
    change.apply = [this, made, identity] {
      runtime_.arena = std::make_unique<Arena>(std::move(made->scratch));  // throws before anything has changed
      runtime_.model = std::move(made->model);
      runtime_.kv->forget();
      if (runtime_.store) runtime_.store->serve(identity.digest(KeyedHash(runtime_.store->folder().key())));
      runtime_.tuning = made->tuning;
      const std::lock_guard lock(mutex_);
      weights_ = std::make_shared<const std::vector<LoadedWeight>>(std::move(made->weights));
      info_ = &infos_.emplace_back(std::move(made->info));
      identity_.reset();
    };
    std::future<void> done = change.done.get_future();
    inbox_->change(std::move(change));
    done.get();
  }

  void save_session(const std::string& file, const Session& session, const std::string& salt) override {
    check_ids(session.tokens);
    const std::lock_guard one(requantizing_);
    gale::save_session(session_place(), file, session, salt);
  }
  Session load_session(const std::string& file, const std::string& salt) override {
    const std::lock_guard one(requantizing_);
    return gale::load_session(session_place(), file, salt);
  }

  std::vector<WeightInfo> weights() const override { return describe(*loaded()); }
  std::vector<float> weight_rows(const std::string& name, int64_t first, int64_t count, int64_t expert) const override {
    return rows_of(*loaded(), name, first, count, expert);
  }
  std::vector<WeightPart> weight_parts(const std::string& name) const override {
    rows_of(*loaded(), name, 0, 0, 0);  // throws where there is no such matrix
    return parts_of(*runtime_.checkpoint, name);
  }

  const ModelInfo& info() const override { return *info_.load(); }
  const Tokenizer* tokenizer() const override { return runtime_.tokenizer.get(); }
  const ChatTemplate* chat_template() const override { return runtime_.chat_template.get(); }
  const Checkpoint& checkpoint() const override { return *runtime_.checkpoint; }

 private:
  // Tokens counted among those that wait, until the jobs answer for them.
  class Place {
   public:
    Place(Inbox& inbox, int64_t prompt, int64_t further) : inbox_(inbox), prompt_(prompt), further_(further) {}
    ~Place() {
      if (prompt_ > 0) inbox_.settle(prompt_ + further_);
    }
    Place(const Place&) = delete;
    Place& operator=(const Place&) = delete;
    void hand_over(std::span<const std::unique_ptr<Job>> jobs) {
      for (const auto& job : jobs) job->queued = further_ / std::max<int64_t>(int64_t(jobs.size()) - 1, 1);
      jobs.front()->queued = std::exchange(prompt_, 0);
    }

   private:
    Inbox& inbox_;
    int64_t prompt_, further_;
  };

  // A beam search begins as one text.
  static int32_t jobs_for(const Request& request) { return request.beams > 0 ? 1 : request.choices; }

  // Choices of one prompt that is run but once wait for its last token each.
  Place queue(const Request& request) const {
    const auto prompt = int64_t(request.tokens.size());
    const int64_t further = (jobs_for(request) - 1) * (runtime_.names ? 1 : prompt);
    const int64_t most = options_.max_queue_tokens > 0 ? options_.max_queue_tokens : kQueueContexts * info().context;
    require(inbox_->queue(prompt + further, most), ErrorCode::busy,
            "{} prompt tokens are waiting, and with {} more they would be over the {} that may; try again later",
            inbox_->waiting_tokens(), prompt + further, most);
    return Place(*inbox_, prompt, further);
  }

  // `first`: the first choice of the same request, if this is not it.
  std::unique_ptr<Job> make_job(const Request& request, const SamplerChain& sampler, int32_t choice, const Job* first) {
    auto job = std::make_unique<Job>(++last_id_, request.tokens, sampler);
    job->choice = choice;
    job->max_tokens = request.max_tokens;
    job->end_tokens = request.stop_ids;
    job->include_stop = request.include_stop;
    job->overflow = request.overflow;
    job->keep = request.keep;
    job->seed = request.sampling.seed;
    job->logprobs = request.sampling.logprobs;
    job->background = request.background;
    if (runtime_.drafter && request.beams == 0) {
      job->draft_max = request.draft_max < 0 ? options_.draft_max : request.draft_max;
      job->draft_min = std::min(options_.draft_min, job->draft_max);
    }
    job->submitted = now_seconds();
    if (request.timeout_seconds > 0) job->deadline = job->submitted + request.timeout_seconds;
    if (first != nullptr) {
      job->root = first->root;
      job->names = first->names;
    } else if (runtime_.names) {  // here, not on the engine's thread: it takes time with the length of the prompt
      job->root = runtime_.names->root(request.salt);
      runtime_.names->extend(job->names, job->root, job->tokens);
    }
    return job;
  }

  std::unique_ptr<EventStream> submit_all(Request request) {
    const int64_t dropped = request.overflow == Overflow::error ? 0 : shorten(request);
    check_prompt(request.tokens);
    if (!request.ignore_eos) request.stop_ids.insert(request.stop_ids.end(), info().end_tokens.begin(), info().end_tokens.end());
    const SamplerChain sampler(request.sampling, info().vocab,
                               {.tokenizer = tokenizer(), .end_tokens = request.stop_ids, .min_tokens = request.min_tokens});
    Place place = queue(request);
    std::vector<std::unique_ptr<Job>> jobs;
    auto events = std::make_shared<EventQueue>(request.choices);
    for (int32_t choice = 0; choice < jobs_for(request); ++choice) {
      jobs.push_back(make_job(request, sampler, choice, jobs.empty() ? nullptr : jobs.front().get()));
      jobs.back()->request = jobs.front()->id;
      jobs.back()->events = events;
      jobs.back()->dropped_prompt = dropped;
    }
    if (request.beams > 0) begin_search(*jobs.front(), request);
    if (request.prompt_logprobs >= 0) {  // once is enough
      Job& first = *jobs.front();
      first.prompt_logprobs = request.prompt_logprobs;
      first.all_rows = true;
      first.prompt_tokens.resize(first.tokens.size() - 1);
    }
    auto stream = std::make_unique<Stream>(jobs.front()->id, request.choices, std::move(events), inbox_);
    place.hand_over(jobs);
    inbox_->submit(std::move(jobs));
    return stream;
  }

  void begin_search(Job& job, const Request& request) const {
    const int64_t room = info().context + 1 - int64_t(request.tokens.size());  // the last token needs no slot
    BeamSearch::Options options;
    options.beams = request.beams;
    options.max_tokens = std::max<int64_t>(1, request.max_tokens < 0 ? room : std::min(request.max_tokens, room));
    options.length_penalty = double(request.length_penalty);
    options.stop = request.beam_stop;
    options.end_tokens = request.stop_ids;
    std::ranges::sort(options.end_tokens);
    options.end_tokens.erase(std::ranges::unique(options.end_tokens).begin(), options.end_tokens.end());
    job.places = request.beams;
    job.owns_search = std::make_shared<Beams>(job, std::move(options), request.choices);
  }

  // What the context does not hold of a prompt: tokens dropped.
  int64_t shorten(Request& request) const {
    std::vector<int32_t>& tokens = request.tokens;
    const int64_t context = info().context, size = int64_t(tokens.size());
    if (size <= context) return 0;
    const Gap gap = overflow_gap(request.overflow, request.keep, size, prompt_target(context, request.max_tokens));
    tokens.erase(tokens.begin() + gap.begin, tokens.begin() + gap.begin + gap.count);
    return gap.count;
  }

  void check_beams(const Request& request) const {
    require(request.beams >= 0 && request.beams <= kMostChoices, ErrorCode::invalid_argument,
            "beams is {}, but must be from 1 to {}, or 0 for no beam search", request.beams, kMostChoices);
    require(std::isfinite(request.length_penalty) && std::abs(request.length_penalty) <= kMostPenalty,
            ErrorCode::invalid_argument, "length_penalty is {}, but must be from {} to {}", request.length_penalty, -kMostPenalty,
            kMostPenalty);
    if (request.beams == 0) return;
    const int64_t most = std::min<int64_t>(runtime_.max_sequences, runtime_.step_tokens);
    require(request.beams <= most, ErrorCode::invalid_argument,
            "beams is {}, but this engine runs at most {} texts at once (max_sequences, step_tokens)", request.beams, most);
    require(request.choices <= request.beams, ErrorCode::invalid_argument,
            "choices is {}, but a search with {} beams finds no more than {} texts", request.choices, request.beams,
            request.beams);
    require(request.best_of == 0, ErrorCode::invalid_argument,
            "best_of is {}, but a beam search finds the best of its texts by itself; leave one of them out", request.best_of);
    require(request.sampling.temperature == 0, ErrorCode::invalid_argument,
            "temperature is {}, but a beam search draws nothing; give 0, or no beams", request.sampling.temperature);
  }
  void check_limits(const Request& request) const {
    constexpr int32_t kMostLogprobs = 20;
    require(request.max_tokens >= -1, ErrorCode::invalid_argument, "max_tokens is {}, but must be at least 0, or -1 for no limit",
            request.max_tokens);
    require(request.min_tokens >= 0 && (request.max_tokens < 0 || request.min_tokens <= request.max_tokens),
            ErrorCode::invalid_argument, "min_tokens is {}, but must be from 0 to max_tokens, {}", request.min_tokens,
            request.max_tokens < 0 ? "which is not limited" : std::to_string(request.max_tokens));
    require(request.prompt_logprobs >= -1 && request.prompt_logprobs <= kMostLogprobs, ErrorCode::invalid_argument,
            "prompt_logprobs is {}, but must be -1 (none) or from 0 to {}", request.prompt_logprobs, kMostLogprobs);
    require(request.choices >= 1 && request.choices <= kMostChoices, ErrorCode::invalid_argument,
            "choices is {}, but must be from 1 to {}", request.choices, kMostChoices);
    require(request.best_of == 0 || (request.best_of >= request.choices && request.best_of <= kMostChoices),
            ErrorCode::invalid_argument, "best_of is {}, but must be from choices, {}, to {}, or 0 for none", request.best_of,
            request.choices, kMostChoices);
    check_beams(request);
    require(request.timeout_seconds >= 0, ErrorCode::invalid_argument,
            "timeout_seconds is {}, but must be at least 0, or 0 for none", request.timeout_seconds);
    require(request.keep >= 0 && (request.keep == 0 || request.keep < info().context / 2), ErrorCode::invalid_argument,
            "keep is {}, but must be at least 0 and less than half of the context of {}", request.keep, info().context);
    require(request.draft_max >= -1 && request.draft_max <= kMostDrafted, ErrorCode::invalid_argument,
            "draft_max is {}, but must be -1 (as the engine has it) or from 0 to {}", request.draft_max, kMostDrafted);
    for (const int32_t id : request.stop_ids)
      require(id >= 0 && id < info().vocab, ErrorCode::invalid_argument, "stop_ids has {}, but token ids go from 0 to {}", id,
              info().vocab - 1);
  }
  void check_prompt(const std::vector<int32_t>& tokens) const {
    require(!tokens.empty(), ErrorCode::invalid_argument, "the prompt is empty; it needs at least one token");
    require(int64_t(tokens.size()) <= info().context, ErrorCode::invalid_argument,
            "the prompt has {} tokens, but the context holds {}; shorten it or open the model with a larger context",
            tokens.size(), info().context);
    check_ids(tokens);
  }
  void check_ids(const std::vector<int32_t>& tokens) const {
    for (size_t i = 0; i < tokens.size(); ++i)
      require(tokens[i] >= 0 && tokens[i] < info().vocab, ErrorCode::invalid_argument,
              "token {} of the prompt is {}, but token ids go from 0 to {}", i, tokens[i], info().vocab - 1);
  }

  CacheIdentity identity_of(const Model& model, const std::vector<LoadedWeight>& weights) const {
    return cache_identity(*runtime_.checkpoint, weights, model.cache_layers(), runtime_.kv->format(), runtime_.precision,
                          runtime_.cpu->isa);
  }
  // Good while `requantizing_` is locked.
  SessionPlace session_place() {
    if (!identity_) identity_ = identity_of(*runtime_.model, *loaded());
    return {*inbox_, *runtime_.kv, runtime_.names.get(), info(), *identity_};
  }

  std::shared_ptr<const std::vector<LoadedWeight>> loaded() const {
    const std::lock_guard lock(mutex_);
    return weights_;
  }

  const EngineOptions options_;
  Runtime runtime_;
  std::mutex requantizing_;                // of the next one, and held by all who need the weights to stay
  std::optional<CacheIdentity> identity_;  // of the weights now, once somebody has asked for it
  mutable std::mutex mutex_;               // of the next three
  std::deque<ModelInfo> infos_;            // the last is true now, whoever holds another may keep it
  std::atomic<const ModelInfo*> info_;
  std::shared_ptr<const std::vector<LoadedWeight>> weights_;
  std::shared_ptr<Inbox> inbox_;
  std::atomic<uint64_t> last_id_{0};
  Stepper stepper_;
  std::thread thread_;  // last: it uses all of the above
};

}  // namespace

std::unique_ptr<Engine> Engine::open(const EngineOptions& options) {
  log_features();
  return start_engine(options, load_runtime(options));
}

std::unique_ptr<Engine> start_engine(const EngineOptions& options, Runtime runtime) {
  return std::make_unique<EngineImpl>(options, std::move(runtime));
}

std::unique_ptr<Engine> open_engine(const EngineOptions& options, std::shared_ptr<const Checkpoint> checkpoint) {
  return start_engine(options, load_runtime(options, std::move(checkpoint)));
}

}  // namespace gale
