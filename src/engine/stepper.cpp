#include "engine/stepper.h"

#include <algorithm>
#include <cstring>
#include <exception>
#include <utility>

#include "base/clock.h"
#include "base/float_mode.h"
#include "base/log.h"
#include "engine/forward.h"
#include "gale/error.h"

namespace gale {

Stepper::Stepper(Runtime& runtime, Inbox& inbox)
    : runtime_(runtime),
      inbox_(inbox),
      scheduler_(*runtime.kv, {.step_tokens = runtime.step_tokens,
                               .max_sequences = runtime.max_sequences,
                               .context = runtime.info.context,
                               .names = runtime.names.get()}),
      pace_(runtime.step_seconds, runtime.step_tokens),
      scratch_(size_t(runtime.pool->threads())) {
  renew_ctx();
}

void Stepper::renew_ctx() {
  Ctx& ctx = ctx_.emplace(Ctx{*runtime_.arena, *runtime_.pool, *runtime_.cpu, runtime_.precision});
  ctx.tuning = runtime_.tuning;
  ctx.watch = runtime_.watch;
}

void Stepper::run() {
  const StandardFloats mode;  // the thread that opened the engine may have flushed subnormals
  for (;;) {
    Inbox::Mail mail = inbox_.take(scheduler_.idle() && changes_.empty());
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
  for (auto& job : std::exchange(held_, {})) jobs_[job->id] = std::move(job);
  finish_all(Finish::cancelled, "the engine was closed");
  for (Change& change : std::exchange(changes_, {}))
    change.done.set_exception(std::make_exception_ptr(Error(ErrorCode::cancelled, "the engine was closed")));
}

void Stepper::accept(std::unique_ptr<Job> job) {
  Job& added = *job;
  jobs_[added.id] = std::move(job);
  if (added.deadline != 0) soonest_ = std::min(soonest_, added.deadline);
  if (added.max_tokens == 0 && !added.all_rows) return finish(added, Finish::length);
  scheduler_.add(added);
}

void Stepper::step() {
  Scheduler::Step& step = scheduler_.plan(pace_.rows());
  const double now = now_seconds();
  for (Sequence* s : step.owners)
    if (Job& job = *static_cast<Job*>(s); job.started == 0) begin(job, now);
  const int64_t rows = step.batch.rows();
  const bool done = rows == 0 || compute(step);
  if (rows > step.decodes) pace_.took(rows, now_seconds() - now);
  ++now_.steps;
  if (done) {
    scheduler_.computed();
    for (size_t i = 0; i < step.wanted.size(); ++i) {
      const bool last = i + 1 == step.wanted.size() || step.wanted[i + 1] != step.wanted[i];
      if (last)
        apply(*static_cast<Job*>(step.wanted[i]), picks_[i]);  // may be the end of the job
      else if (!picks_[i].error.empty())
        picks_[i + 1].error = std::move(picks_[i].error);
    }
  }
  for (Sequence* s : step.full) finish(*static_cast<Job*>(s), Finish::length);
}

// The forward pass cannot fail but for memory the system refuses; then those who had rows in it end.
bool Stepper::compute(Scheduler::Step& step) {
  picks_.assign(step.wanted.size(), {});
  try {
    forward(*ctx_, *runtime_.model, step.batch, *runtime_.kv,
            [&](int64_t first, const Tensor& logits) { use_logits(step, first, logits); });
    return true;
  } catch (const std::exception& e) {
    for (Sequence* s : step.owners) finish(*static_cast<Job*>(s), Finish::error, e.what());
    return false;
  }
}

void Stepper::use_logits(const Scheduler::Step& step, int64_t first, const Tensor& logits) {
  const int64_t vocab = logits.dim(1);
  runtime_.pool->for_each(logits.dim(0), 1, [&](int64_t begin, int64_t end, int thread) {
    for (int64_t i = begin; i < end; ++i) {
      const size_t wanted = size_t(first + i);
      Job& job = *static_cast<Job*>(step.wanted[wanted]);
      const float* row = logits.data<float>() + i * vocab;
      const int32_t slot = step.batch.slots[size_t(step.batch.wanted[wanted])];
      if (job.wants_logits())
        std::memcpy(job.rows.data() + slot * vocab, row, size_t(vocab) * sizeof(float));
      else if (size_t(slot) + 1 < job.tokens.size())
        picks_[wanted].error = note_prompt(job, size_t(slot), {row, size_t(vocab)}, scratch_[size_t(thread)]);
      else
        picks_[wanted] = choose(job, {row, size_t(vocab)}, scratch_[size_t(thread)]);
    }
  });
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
    state.position = job.tokens.size();
    if (job.max_tokens == 0) return pick;  // only the prompt was asked about
    pick.token = job.sampler.sample(logits, state, scratch);
    if (job.logprobs >= 0) pick.logprobs = log_probabilities(logits, pick.token, job.logprobs, scratch);
  } catch (const std::exception& e) {
    pick.error = e.what();
  }
  return pick;
}

void Stepper::apply(Job& job, const Pick& pick) {
  if (!pick.error.empty()) return finish(job, Finish::error, pick.error);
  if (job.remaining() > 0) return;  // a piece of a prompt of which all rows were wanted
  if (job.wants_logits()) return finish(job, Finish::stop);
  if (job.first_token == 0) {
    job.first_token = now_seconds();
    now_.prompt_tokens += job.prompt;
    now_.cached_tokens += job.found;
    if (job.prompt_logprobs >= 0) job.events->push(PromptEvent{std::exchange(job.prompt_tokens, {})});
    job.all_rows = false;  // after a preemption they need not come again
    if (job.max_tokens == 0) return finish(job, Finish::length);
  }
  const bool ends = job.ends_at(pick.token);
  if (ends) job.stop_token = pick.token;
  if (ends && !job.include_stop) return finish(job, Finish::stop);
  job.tokens.push_back(pick.token);
  ++now_.generated_tokens;
  TokenEvent event{pick.token, 0, {}, job.choice};
  if (job.logprobs >= 0) event.logprob = pick.logprobs.chosen, event.top = pick.logprobs.top;
  job.events->push(std::move(event));
  if (ends || job.generated() == job.max_tokens) finish(job, ends ? Finish::stop : Finish::length);
}

void Stepper::begin(Job& job, double now) {
  job.started = now;
  settle(job);
}

void Stepper::settle(Job& job) {
  if (job.queued > 0) inbox_.settle(std::exchange(job.queued, 0));
}

void Stepper::finish(Job& job, Finish how, const std::string& error) {
  settle(job);
  scheduler_.remove(job);
  if (job.wants_logits()) {
    if (how == Finish::stop)
      job.logits.set_value(std::move(job.rows));
    else
      job.logits.set_exception(
          std::make_exception_ptr(Error(how == Finish::cancelled ? ErrorCode::cancelled
                                        : how == Finish::length  ? ErrorCode::out_of_memory
                                                                 : ErrorCode::internal,
                                        error.empty() ? "the logits could not be computed: the KV cache is full" : error)));
  } else {
    const double now = now_seconds(), started = job.started ? job.started : now, first = job.first_token ? job.first_token : now;
    EndEvent end{
        .finish = how, .prompt_tokens = job.prompt, .generated_tokens = job.generated(), .error = {}, .choice = job.choice};
    end.cached_tokens = job.found;
    end.queue_seconds = started - job.submitted;
    end.prefill_seconds = first - started;
    end.decode_seconds = now - first;
    if (how == Finish::error) end.error = error;
    end.stop_token = job.stop_token;
    job.events->push(std::move(end));
  }
  jobs_.erase(job.id);
}

void Stepper::finish_all(Finish how, const std::string& error) {
  while (!jobs_.empty()) finish(*jobs_.begin()->second, how, error);
}

}  // namespace gale
