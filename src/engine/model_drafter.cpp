#include "engine/model_drafter.h"

#include <algorithm>
#include <utility>

#include "base/clock.h"
#include "engine/forward.h"

namespace gale {
namespace {

constexpr float kSure = 0.3f;         // the probability below which a guess is not worth a row
constexpr double kShareOfStep = 0.5;  // of the time that a step may take, for reading

}  // namespace

ModelDrafter::ModelDrafter(Runtime own, std::unique_ptr<const Translation> translation)
    : own_(std::move(own)),
      translation_(std::move(translation)),
      ctx_{*own_.arena, *own_.pool, *own_.cpu, own_.precision},
      pace_(own_.step_seconds * kShareOfStep, own_.step_tokens),
      scratch_(size_t(own_.pool->threads())) {
  ctx_.tuning = own_.tuning;
}

void ModelDrafter::forget(uint64_t id) {
  const auto found = texts_.find(id);
  if (found == texts_.end()) return;
  if (found->second.track >= 0) own_.kv->close(found->second.track);
  texts_.erase(found);
}

void ModelDrafter::propose(std::span<const DraftTask> tasks) {
  ++calls_;
  writers_.clear();
  for (const DraftTask& task : tasks) {
    Writer writer{.task = &task, .text = &texts_[task.id], .tokens = {}, .stable = 0, .most = task.most, .guess = {}};
    if (begin(writer)) writers_.push_back(std::move(writer));
  }
  read();
  while (std::ranges::any_of(writers_, &Writer::writes)) write();
  for (const Writer& writer : writers_) hand_over(writer);
}

// What the text is in own tokens, and how much of it the cache has. False: nothing can be guessed for it.
bool ModelDrafter::begin(Writer& writer) {
  Text& text = *writer.text;
  text.used = calls_;
  writer.tokens = writer.task->tokens;
  writer.stable = int64_t(writer.tokens.size());
  if (translation_) {
    translation_->follow(text.told, writer.task->tokens);
    writer.tokens = text.told.tokens;
    writer.stable = int64_t(text.told.stable);
  }
  const auto size = int64_t(writer.tokens.size());
  writer.most = std::min(writer.most, own_.info.context - size);
  if (size == 0 || writer.most <= 0) return false;
  const auto unknown = [this](int32_t token) { return token < 0 || token >= own_.info.vocab; };
  if (std::any_of(writer.tokens.begin() + text.committed, writer.tokens.end(), unknown)) return false;
  if (text.track < 0) open(writer);
  auto same = size_t(text.committed);
  while (same < text.rows.size() && same + 1 < writer.tokens.size() && text.rows[same] == writer.tokens[same]) ++same;
  text.rows.resize(same);
  return true;
}

// The last token is never taken over: its row says what may come next.
void ModelDrafter::open(Writer& writer) const {
  Text& text = *writer.text;
  text.track = own_.kv->open();
  if (!own_.names) return;
  own_.names->extend(text.names, writer.task->root, writer.tokens.first(size_t(writer.stable)));
  text.committed = own_.kv->adopt(text.track, text.names, int64_t(writer.tokens.size()) - 1);
  text.rows.assign(writer.tokens.begin(), writer.tokens.begin() + text.committed);
}

// Rows of the texts that are missing, those of the shortest rests first; who has all gets a first guess.
void ModelDrafter::read() {
  std::ranges::sort(writers_, {}, &Writer::missing);
  int64_t left = pace_.rows();
  for (Writer& writer : writers_) {
    const int64_t count = std::min(left, writer.missing());
    const bool whole = count == writer.missing();
    if (count == 0 || !make_room(writer, int64_t(writer.text->rows.size()) + count + (whole ? writer.most - 1 : 0))) continue;
    add(writer, writer.tokens.data() + writer.text->rows.size(), count);
    left -= count;
    if (!whole) continue;
    batch_.wanted.push_back(batch_.rows() - 1);
    wanted_.push_back(&writer);
    writer.writes = true;
  }
  const int64_t rows = batch_.rows();
  if (rows == 0) return;
  const double before = now_seconds();
  run();
  pace_.took(rows, now_seconds() - before);
  for (Writer& writer : writers_) {
    Text& text = *writer.text;
    text.committed = std::clamp<int64_t>(int64_t(text.rows.size()), text.committed, std::max(writer.stable, text.committed));
    if (own_.names) own_.names->extend(text.names, writer.task->root, writer.tokens.first(size_t(writer.stable)));
    own_.kv->commit(text.track, text.committed, text.names);
  }
}

// Slots for a text, at the cost of those that have no guesses now, the longest ago first.
bool ModelDrafter::make_room(Writer& writer, int64_t slots) {
  while (!own_.kv->reserve(writer.text->track, slots)) {
    Text* oldest = nullptr;
    for (auto& [id, text] : texts_)
      if (text.track >= 0 && text.used < calls_ && (oldest == nullptr || text.used < oldest->used)) oldest = &text;
    if (oldest == nullptr) return false;
    own_.kv->close(oldest->track);
    oldest->track = -1, oldest->committed = 0;
    oldest->rows.clear();
  }
  return true;
}

// A token more for each.
void ModelDrafter::write() {
  for (Writer& writer : writers_) {
    if (!writer.writes) continue;
    add(writer, &writer.guess.back(), 1);
    batch_.wanted.push_back(batch_.rows() - 1);
    wanted_.push_back(&writer);
  }
  run();
}

void ModelDrafter::add(Writer& writer, const int32_t* tokens, int64_t count) {
  std::vector<int32_t>& rows = writer.text->rows;
  batch_.add_causal(writer.text->track, tokens, int32_t(count), int32_t(rows.size()));
  rows.insert(rows.end(), tokens, tokens + count);
}

void ModelDrafter::run() {
  Batch batch = std::exchange(batch_, {});
  const std::vector<Writer*> wanted = std::exchange(wanted_, {});
  forward(ctx_, *own_.model, batch, *own_.kv, [&](int64_t first, const Tensor& logits) {
    const int64_t vocab = logits.dim(1);
    own_.pool->for_each(logits.dim(0), 1, [&](int64_t begin, int64_t end, int thread) {
      for (int64_t i = begin; i < end && size_t(first + i) < wanted.size(); ++i)
        choose(*wanted[size_t(first + i)], {logits.data<float>() + i * vocab, size_t(vocab)}, scratch_[size_t(thread)]);
    });
  });
}

// On any thread of the pool, each writer on one.
void ModelDrafter::choose(Writer& writer, std::span<const float> logits, Candidates& scratch) const {
  scratch.start(logits);
  writer.writes = false;
  if (scratch.choosable() == 0) return;
  const bool sure = 1 / scratch.total() >= kSure || int64_t(writer.guess.size()) < writer.task->least;
  if (!sure) return;
  const auto at = std::ranges::find(scratch.logits(), scratch.largest()) - scratch.logits().begin();
  writer.guess.push_back(scratch.token(size_t(at)));
  const bool ends = std::ranges::find(own_.info.end_tokens, writer.guess.back()) != own_.info.end_tokens.end();
  writer.writes = !ends && int64_t(writer.guess.size()) < writer.most;
}

void ModelDrafter::hand_over(const Writer& writer) const {
  *writer.task->draft = translation_ ? translation_->back(writer.task->tokens, writer.guess) : writer.guess;
}

}  // namespace gale
