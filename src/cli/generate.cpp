#include "cli/generate.h"

#include <chrono>

#include "base/fail.h"
#include "base/json.h"
#include "tokenizer/text_stream.h"

namespace gale::cli {
namespace {

constexpr auto kPoll = std::chrono::milliseconds(50);  // how soon Ctrl-C is seen

double rate(int64_t n, double seconds) { return seconds > 0 ? double(n) / seconds : 0; }

Json logprobs_json(const Tokenizer& tokenizer, const std::vector<TokenEvent>& tokens) {
  Json out = Json::array();
  for (const TokenEvent& t : tokens) {
    Json top = Json::array();
    for (const TokenLogprob& l : t.top)
      top.push_back({{"token", l.token}, {"text", tokenizer.piece(l.token)}, {"logprob", l.logprob}});
    out.push_back({{"token", t.token}, {"text", tokenizer.piece(t.token)}, {"logprob", t.logprob}, {"top", top}});
  }
  return out;
}

}  // namespace

Generation generate(Engine& engine, const Request& request, const std::vector<std::string>& stops,
                    const InterruptScope& interrupt, const std::function<void(std::string_view)>& on_text) {
  Generation out;
  TextStream text(*engine.tokenizer(), stops, false, request.min_tokens);
  // What the answer had to begin with stands in the prompt already. At the start of a text some tokenizers drop a space.
  std::string_view known = request.sampling.begin_with;
  const auto emit = [&](std::string_view piece) {
    if (out.tokens.size() == 1 && known.starts_with(' ') && !piece.starts_with(' ')) known.remove_prefix(1);
    const size_t n = std::min(known.size(), piece.size());
    known.remove_prefix(n);
    piece.remove_prefix(n);
    out.text += piece;
    if (!piece.empty()) on_text(piece);
  };
  const auto stream = engine.submit(request);
  bool cancelled = false;
  while (true) {
    const auto event = stream->next(kPoll);
    if (!cancelled && (interrupt.interrupted() || text.stopped())) {
      cancelled = true;
      engine.cancel(stream->id());
    }
    if (!event) continue;
    if (const auto* token = std::get_if<TokenEvent>(&*event)) {
      if (text.stopped()) continue;  // computed before the cancellation arrived
      out.tokens.push_back(*token);
      emit(text.push(token->token));
      continue;
    }
    if (auto* prompt = std::get_if<PromptEvent>(&*event)) {
      out.prompt = prompt->tokens;
      continue;
    }
    out.end = std::get<EndEvent>(*event);
    break;
  }
  if (!text.stopped()) emit(text.flush());
  out.stop = text.stop();
  if (request.include_stop) emit(out.stop);
  if (text.stopped()) out.end.finish = Finish::stop;
  require(out.end.finish != Finish::error, ErrorCode::internal, "the engine failed: {}", out.end.error);
  return out;
}

std::vector<int32_t> tokens_of(const Request& request, const Generation& generation) {
  std::vector<int32_t> out = request.tokens;
  for (const TokenEvent& token : generation.tokens) out.push_back(token.token);
  return out;
}

const char* finish_name(Finish finish) {
  switch (finish) {
    case Finish::stop:
      return "stop";
    case Finish::length:
      return "length";
    case Finish::cancelled:
      return "cancelled";
    case Finish::timeout:
      return "timeout";
    case Finish::error:
      return "error";
  }
  return "error";
}

Json generation_json(const Engine& engine, const Generation& g, double load_seconds, const Request& request) {
  std::vector<int32_t> ids;
  for (const TokenEvent& t : g.tokens) ids.push_back(t.token);
  const EndEvent& e = g.end;
  Json out = {{"model", engine.info().source}, {"text", g.text}, {"tokens", ids}, {"finish", finish_name(e.finish)}};
  if (!g.stop.empty()) out["stop"] = g.stop;
  if (e.stop_token >= 0) out["stop_token"] = e.stop_token;
  const auto generated = int64_t(ids.size());
  out["usage"] = {{"prompt_tokens", e.prompt_tokens},     {"cached_tokens", e.cached_tokens},
                  {"completion_tokens", generated},       {"drafted_tokens", e.drafted_tokens},
                  {"accepted_tokens", e.accepted_tokens}, {"total_tokens", e.prompt_tokens + generated}};
  if (e.dropped_tokens > 0) out["usage"]["dropped_tokens"] = e.dropped_tokens;
  out["timings"] = {{"load_seconds", load_seconds},
                    {"queue_seconds", e.queue_seconds},
                    {"prefill_seconds", e.prefill_seconds},
                    {"decode_seconds", e.decode_seconds},
                    {"prefill_tokens_per_second", rate(e.prompt_tokens - e.cached_tokens, e.prefill_seconds)},
                    {"decode_tokens_per_second", rate(std::max<int64_t>(e.generated_tokens - 1, 0), e.decode_seconds)}};
  if (request.beams > 0) out["beam_score"] = e.beam_score;
  if (request.sampling.logprobs >= 0) out["logprobs"] = logprobs_json(*engine.tokenizer(), g.tokens);
  if (request.prompt_logprobs >= 0) out["prompt_logprobs"] = logprobs_json(*engine.tokenizer(), g.prompt);
  return out;
}

std::string speed_text(const EndEvent& e) {
  const std::string drafts =
      e.drafted_tokens > 0 ? fmt::format("; {} of {} guessed tokens right", e.accepted_tokens, e.drafted_tokens) : "";
  const std::string known = e.cached_tokens > 0 ? fmt::format(" ({} known)", e.cached_tokens) : "";
  return fmt::format("prompt {} tokens{}, {:.1f} t/s; answer {} tokens, {:.1f} t/s{}", e.prompt_tokens, known,
                     rate(e.prompt_tokens - e.cached_tokens, e.prefill_seconds), e.generated_tokens,
                     rate(std::max<int64_t>(e.generated_tokens - 1, 0), e.decode_seconds), drafts);
}

}  // namespace gale::cli
