#include "engine/stepper.h"

#include <algorithm>
#include <cstring>
#include <exception>
#include <utility>

#include "base/clock.h"
#include "base/float_mode.h"
#include "base/log.h"
#include "engine/forward.h"
#include "engine/overflow.h"
#include "gale/error.h"

namespace gale {
namespace {

constexpr auto kRestoring = std::chrono::milliseconds(50);  // after which it is seen that the disk does not answer

// The place in its text of the token whose row is batch.wanted[wanted].
int64_t slot_of(const Scheduler::Step& step, size_t wanted) { return step.batch.slots[size_t(step.batch.wanted[wanted])]; }

}  // namespace

Stepper::Stepper(Runtime& runtime, Inbox& inbox)
    : runtime_(runtime),
      inbox_(inbox),
      scheduler_(*runtime.kv, {.step_tokens = runtime.step_tokens,
                               .max_sequences = runtime.max_sequences,
                               .context = runtime.info.context,
                               .names = runtime.names.get()}),
      pace_(runtime.step_seconds, runtime.step_tokens),
      drafting_(runtime.drafter.get(), runtime.info),
      scratch_(size_t(runtime.pool->threads())) {
  renew_ctx();
  if (runtime.store) runtime.store->on_ready([this] { inbox_.wake(); });
}

void Stepper::renew_ctx() {
  Ctx& ctx = ctx_.emplace(Ctx{*runtime_.arena, *runtime_.pool, *runtime_.cpu, runtime_.precision});
  ctx.tuning = runtime_.tuning;
  ctx.watch = runtime_.watch;
}

void Stepper::run() {
  const StandardFloats mode;  // the thread that opened the engine may have flushed subnormals
  for (;;) {
    const bool idle = scheduler_.idle() && changes_.empty();
    Inbox::Mail mail = inbox_.take(idle || restoring_, idle ? Inbox::kForever : kRestoring);
    const bool stop = mail.stop;
    try {
      take_mail(std::move(mail));
      if (!changes_.empty() && scheduler_.idle()) apply_changes();
      end_late();
      if (!stop && !scheduler_.idle()) step();
      publish();
    } catch (const std::exception& e) {  // memory ran out between the guarded parts: nothing is known of anyone's state
      log_message(LogLevel::error, fmt::format("the step failed: {}", e.what()));
      finish_all(Finish::error, e.what());
    }
    if (stop) return close();
  }
}

void Stepper::take_mail(Inbox::Mail mail) {
  for (auto& change : mail.changes) changes_.push_back(std::move(change));
  for (auto& job : mail.jobs)
    if (changes_.empty())
      accept(std::move(job));
    else {
      if (job->deadline != 0) soonest_ = std::min(soonest_, job->deadline);
      held_.push_back(std::move(job));
    }
  for (const uint64_t id : mail.cancels) cancel(id);
  for (Change& call : mail.calls) try {
      call.apply();
      call.done.set_value();
    } catch (...) {
      call.done.set_exception(std::current_exception());
    }
}

void Stepper::cancel(uint64_t request) {
  for (auto& job : held_)
    if (job->request == request) jobs_[job->id] = std::move(job);
  std::erase(held_, nullptr);
  std::vector<Job*> found;
  for (const auto& [id, job] : jobs_)
    if (job->request == request) found.push_back(job.get());
  for (Job* job : found) finish(*job, Finish::cancelled);
}

// Those whose time is up.
void Stepper::end_late() {
  if (soonest_ == kNever) return;
  const double now = now_seconds();
  if (now < soonest_) return;
  soonest_ = kNever;
  for (auto& job : held_)
    if (job->deadline != 0 && job->deadline <= now) jobs_[job->id] = std::move(job);
  std::erase(held_, nullptr);
  for (const auto& job : held_)
    if (job->deadline != 0) soonest_ = std::min(soonest_, job->deadline);
  std::vector<Job*> late;
  for (const auto& [id, job] : jobs_) {
    if (job->deadline == 0) continue;
    if (job->deadline <= now)
      late.push_back(job.get());
    else
      soonest_ = std::min(soonest_, job->deadline);
  }
  for (Job* job : late) finish(*job, Finish::timeout);
}

EngineStats Stepper::stats() const {
  EngineStats out;
  {
    const std::lock_guard lock(mutex_);
    out = published_;
  }
  out.waiting_tokens = inbox_.waiting_tokens();
  return out;
}

void Stepper::publish() {
  now_.running = int64_t(scheduler_.running());
  now_.waiting = int64_t(scheduler_.waiting() + held_.size());
  now_.kv_held_bytes = runtime_.kv->held_bytes();
  now_.kv_kept_bytes = runtime_.kv->kept_bytes();
  now_.preemptions = scheduler_.preemptions();
  if (runtime_.store) {
    const BlockStore::Counts store = runtime_.store->counts();
    now_.store_bytes = store.bytes;
    now_.stored_blocks = store.written;
    now_.restored_blocks = store.restored;
    now_.dropped_blocks = store.dropped;
  }
  const std::lock_guard lock(mutex_);
  published_ = now_;
}

void Stepper::apply_changes() {
  for (Change& change : std::exchange(changes_, {})) try {
      change.apply();
      renew_ctx();
      change.done.set_value();
    } catch (...) {
      change.done.set_exception(std::current_exception());
    }
  for (auto& job : std::exchange(held_, {})) accept(std::move(job));
}

void Stepper::close() {
  if (runtime_.store) runtime_.store->on_ready({});
  for (auto& job : std::exchange(held_, {})) jobs_[job->id] = std::move(job);
  finish_all(Finish::cancelled, "the engine was closed");
  for (Change& change : std::exchange(changes_, {}))
    change.done.set_exception(std::make_exception_ptr(Error(ErrorCode::cancelled, "the engine was closed")));
  runtime_.kv->store_kept();
}

void Stepper::accept(std::unique_ptr<Job> job) {
  Job& added = *job;
  jobs_[added.id] = std::move(job);
  if (added.deadline != 0) soonest_ = std::min(soonest_, added.deadline);
  if (added.max_tokens == 0 && !added.all_rows) return finish(added, Finish::length);
  scheduler_.add(added);
}

void Stepper::step() {
  const double entered = now_seconds();
  drafting_.propose(scheduler_.active(), std::min(runtime_.step_tokens, pace_.rows()));
  Scheduler::Step& step = scheduler_.plan(pace_.rows());
  restoring_ = step.restoring;
  if (restoring_) return;
  const double now = now_seconds();
  for (Sequence* s : step.owners)
    if (Job& job = *static_cast<Job*>(s); job.started == 0) begin(job, now);
  const int64_t rows = step.batch.rows();
  const bool done = rows == 0 || compute(step);
  const double seconds = now_seconds() - now;
  now_.model_seconds += seconds;
  if (rows > step.decodes)
    pace_.took(rows, seconds);
  else
    drafting_.took(rows, seconds);
  ++now_.steps;
  note_ids(step.full);
  if (done) {
    scheduler_.computed();
    for (size_t begin = 0, end = 0; begin < step.wanted.size(); begin = end) {
      while (end < step.wanted.size() && step.wanted[end] == step.wanted[begin]) ++end;
      deliver(step, begin, end);
    }
    search_on();
  }
  for (const uint64_t id : ids_)
    if (const auto job = jobs_.find(id); job != jobs_.end() && !make_room(*job->second)) finish(*job->second, Finish::length);
  now_.step_seconds += now_seconds() - entered;
}

// Of the requests that they are of: what is done to one text of a search may end them all.
void Stepper::note_ids(std::span<Sequence* const> sequences) {
  ids_.clear();
  for (const Sequence* s : sequences) ids_.push_back(s->id);
}

// What becomes of a search is seen when all of the step has been delivered: others of its texts may be in it.
void Stepper::note_search(Beams& search) {
  if (std::ranges::find(searches_, &search) == searches_.end()) searches_.push_back(&search);
}

void Stepper::search_on() {
  for (Beams* search : searches_)
    if (!search->error().empty())
      finish(search->first(), Finish::error, std::string(search->error()));
    else if (search->all_rest() && !search->go_on(scheduler_))
      finish(search->first(), Finish::stop);
  searches_.clear();
}

// The text goes on without some of it, where that was asked for. False: it cannot.
bool Stepper::make_room(Job& job) {
  if (job.overflow == Overflow::error || job.first_token == 0 || job.search != nullptr) return false;
  const auto size = int64_t(job.tokens.size());
  const Gap gap =
      overflow_gap(job.overflow, job.keep, size, std::max(job.keep + 1, std::min(size, runtime_.info.context) * 3 / 4));
  if (gap.count == 0 || gap.begin + gap.count > size) return false;
  scheduler_.remove(job);
  drafting_.forget(job);  // to whom texts only grow
  job.drop(gap.begin, gap.count);
  scheduler_.add(job);
  return true;
}

// The forward pass cannot fail but for memory the system refuses; then those who had rows in it end.
bool Stepper::compute(Scheduler::Step& step) {
  picks_.assign(step.wanted.size(), {});
  try {
    forward(
        *ctx_, *runtime_.model, step.batch, *runtime_.kv,
        [&](int64_t first, const Tensor& logits) { use_logits(step, first, logits); }, drafting_.taps());
    drafting_.saw(step.batch, step.owners);
    return true;
  } catch (const std::exception& e) {
    note_ids(step.owners);
    for (const uint64_t id : ids_)
      if (const auto job = jobs_.find(id); job != jobs_.end()) finish(*job->second, Finish::error, e.what());
    return false;
  }
}

// A row of a draft counts only where those before it came out as the draft has it: they are gone through in order.
void Stepper::use_logits(const Scheduler::Step& step, int64_t first, const Tensor& logits) {
  const int64_t vocab = logits.dim(1);
  units_.clear();
  for (int64_t i = 0; i < logits.dim(0); ++i) {
    const size_t wanted = size_t(first + i);
    if (size_t(slot_of(step, wanted)) < step.wanted[wanted]->tokens.size())
      units_.push_back({i, i + 1});
    else if (!units_.empty() && step.wanted[size_t(first + units_.back().begin)] == step.wanted[wanted])
      units_.back().end = i + 1;
  }
  runtime_.pool->for_each(int64_t(units_.size()), 1, [&](int64_t begin, int64_t end, int thread) {
    for (int64_t u = begin; u < end; ++u)
      for (int64_t i = units_[size_t(u)].begin; i < units_[size_t(u)].end; ++i)
        use_row(step, size_t(first + i), {logits.data<float>() + i * vocab, size_t(vocab)}, scratch_[size_t(thread)]);
  });
}

// On any thread of the pool, each job's next token and draft on one.
void Stepper::use_row(const Scheduler::Step& step, size_t wanted, std::span<const float> logits, Candidates& scratch) {
  Job& job = *static_cast<Job*>(step.wanted[wanted]);
  const auto slot = size_t(slot_of(step, wanted));
  if (slot >= job.tokens.size()) return;  // the text has gone another way than its draft
  if (job.wants_logits()) {
    std::memcpy(job.rows.data() + slot * logits.size(), logits.data(), logits.size_bytes());
  } else if (slot + 1 < job.tokens.size()) {
    picks_[wanted].error = note_prompt(job, slot, logits, scratch);
  } else {
    const Pick& pick = picks_[wanted] = choose(job, logits, scratch);
    const bool drafted = wanted + 1 < step.wanted.size() && step.wanted[wanted + 1] == &job && pick.error.empty() &&
                         step.batch.tokens[size_t(step.batch.wanted[wanted + 1])] == pick.token;
    if (drafted && !job.ends_at(pick.token)) job.tokens.push_back(pick.token);  // there is room: Drafting made it
  }
}

// Rows of a prompt, on any thread of the pool: what its next token's chances were.
std::string Stepper::note_prompt(Job& job, size_t slot, std::span<const float> logits, Candidates& scratch) {
  try {
    const int32_t token = job.tokens[slot + 1];
    Logprobs out = log_probabilities(logits, token, job.prompt_logprobs, scratch);
    job.prompt_tokens[slot] = {token, out.chosen, std::move(out.top)};
    return "";
  } catch (const std::exception& e) {
    return e.what();
  }
}

// Runs on any thread of the pool, each job on one.
Stepper::Pick Stepper::choose(Job& job, std::span<const float> logits, Candidates& scratch) {
  Pick pick;
  try {
    SamplingState state;
    state.prompt = std::span(job.tokens).first(size_t(job.prompt));
    state.generated = std::span(job.tokens).subspan(size_t(job.prompt));
    state.seed = job.seed;
    state.choice = uint32_t(job.choice);
    state.position = job.tokens.size() + uint64_t(job.dropped());
    state.forgotten = size_t(job.forgotten);
    if (job.max_tokens == 0) return pick;  // only the prompt was asked about
    if (job.search != nullptr) return job.search->choose(job, logits, state, scratch), pick;
    pick.token = job.sampler.sample(logits, state, scratch);
    if (job.logprobs >= 0) pick.logprobs = log_probabilities(logits, pick.token, job.logprobs, scratch);
  } catch (const std::exception& e) {
    pick.error = e.what();
  }
  return pick;
}

// What the rows [begin, end) of batch.wanted, all of one job, gave: pieces of its prompt, or tokens, the last of them one that no
// draft had.
void Stepper::deliver(const Scheduler::Step& step, size_t begin, size_t end) {
  Job& job = *static_cast<Job*>(step.wanted[begin]);
  const auto known = int64_t(job.tokens.size()), most = int64_t(end - begin) - 1;
  if (most > 0 && !job.all_rows) note_draft(job, most, known - 1 - slot_of(step, begin));
  for (size_t i = begin; i < end; ++i) {
    const int64_t slot = slot_of(step, i);
    if (!picks_[i].error.empty()) {
      if (job.search == nullptr) return finish(job, Finish::error, picks_[i].error);
      job.search->fail(picks_[i].error);
      return note_search(*job.search);
    }
    if (slot + 1 < job.prompt) continue;
    if (job.wants_logits()) return finish(job, Finish::stop);
    if (job.first_token == 0) begin_answer(job);
    if (job.search != nullptr && job.max_tokens != 0) {
      job.resting = true;
      return note_search(*job.search);
    }
    if (!apply(job, picks_[i], slot + 1 < known) || slot + 1 == known) return;
  }
}

void Stepper::begin_answer(Job& job) {
  job.first_token = now_seconds();
  now_.prompt_tokens += job.prompt;
  now_.cached_tokens += job.found;
  if (job.prompt_logprobs >= 0) job.events->push(PromptEvent{std::exchange(job.prompt_tokens, {})});
  job.all_rows = false;  // after a preemption they need not come again
}

void Stepper::note_draft(Job& job, int64_t drafted, int64_t accepted) {
  job.depth.took(int32_t(drafted), int32_t(accepted));
  job.drafted += drafted;
  job.accepted += accepted;
  now_.drafted_tokens += drafted;
  now_.accepted_tokens += accepted;
}

// The next token of the text; where it was `drafted` it stands there already. False: it was the last.
bool Stepper::apply(Job& job, const Pick& pick, bool drafted) {
  if (job.max_tokens == 0) return finish(job, Finish::length), false;
  const bool ends = job.ends_at(pick.token);
  if (ends) job.stop_token = pick.token;
  if (ends && !job.include_stop) return finish(job, Finish::stop), false;
  if (!drafted) job.tokens.push_back(pick.token);
  ++now_.generated_tokens;
  TokenEvent event{pick.token, 0, {}, job.choice};
  if (job.logprobs >= 0) event.logprob = pick.logprobs.chosen, event.top = pick.logprobs.top;
  job.events->push(std::move(event));
  if (ends || job.generated() == job.max_tokens) return finish(job, ends ? Finish::stop : Finish::length), false;
  return true;
}

void Stepper::begin(Job& job, double now) {
  constexpr int64_t kAtOnce = 4096;  // tokens for which there is room before the first comes
  job.tokens.reserve(job.tokens.size() + size_t(job.max_tokens < 0 ? kAtOnce : std::min(job.max_tokens, kAtOnce)));
  job.started = now;
  settle(job);
}

void Stepper::settle(Job& job) {
  if (job.queued > 0) inbox_.settle(std::exchange(job.queued, 0));
}

void Stepper::finish(Job& job, Finish how, const std::string& error) {
  settle(job);
  job.search != nullptr ? job.search->leave(scheduler_) : scheduler_.remove(job);
  drafting_.forget(job);
  if (job.wants_logits()) {
    if (how == Finish::stop)
      job.logits.set_value(std::move(job.rows));
    else
      job.logits.set_exception(
          std::make_exception_ptr(Error(how == Finish::cancelled ? ErrorCode::cancelled
                                        : how == Finish::length  ? ErrorCode::out_of_memory
                                                                 : ErrorCode::internal,
                                        error.empty() ? "the logits could not be computed: the KV cache is full" : error)));
  } else if (job.search != nullptr) {
    job.search->tell(end_of(job, how, error));
  } else {
    job.events->push(end_of(job, how, error));
  }
  jobs_.erase(job.id);
}

EndEvent Stepper::end_of(const Job& job, Finish how, const std::string& error) {
  const double now = now_seconds(), started = job.started ? job.started : now, first = job.first_token ? job.first_token : now;
  EndEvent end{.finish = how,
               .prompt_tokens = job.prompt + job.dropped_prompt,
               .generated_tokens = job.generated(),
               .error = {},
               .choice = job.choice};
  end.dropped_tokens = job.dropped();
  end.cached_tokens = job.found;
  end.queue_seconds = started - job.submitted;
  end.prefill_seconds = first - started;
  end.decode_seconds = now - first;
  if (how == Finish::error) end.error = error;
  end.stop_token = job.stop_token;
  end.drafted_tokens = job.drafted;
  end.accepted_tokens = job.accepted;
  return end;
}

void Stepper::finish_all(Finish how, const std::string& error) {
  while (!jobs_.empty()) finish(*jobs_.begin()->second, how, error);
}

}  // namespace gale
