#include "hub/transfer.h"

#include <algorithm>
#include <charconv>
#include <chrono>

#include "base/fail.h"
#include "hub/client.h"
#include "hub/file_list.h"

namespace gale::hub {
namespace {

constexpr size_t kHashStep = size_t(1) << 20;
constexpr int64_t kMostErrorText = int64_t(1) << 20;
constexpr std::chrono::milliseconds kLook{10};
// What comes is written in steps of this size, or, where it comes slowly, after this time: curl hands over 16 KiB at a time, and
// so many small writes, locks and wake-ups cost more than the network.
constexpr size_t kHeld = size_t(1) << 20;
constexpr std::chrono::milliseconds kHeldFor{200};

std::optional<int64_t> integer(std::string_view text) {
  int64_t out = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), out);
  if (error != std::errc() || end != text.data() + text.size() || out < 0) return std::nullopt;
  return out;
}

// Of "bytes 0-99/1000" the first byte and the total; the total is -1 for '*'.
struct ContentRange {
  int64_t begin = -1, total = -1;
};
std::optional<ContentRange> content_range(std::string_view text) {
  const size_t dash = text.find('-'), slash = text.find('/');
  if (!text.starts_with("bytes ") || dash == text.npos || slash == text.npos || slash < dash) return std::nullopt;
  const auto begin = integer(text.substr(6, dash - 6)), total = integer(text.substr(slash + 1));
  if (!begin || (!total && text.substr(slash + 1) != "*")) return std::nullopt;
  return ContentRange{*begin, total.value_or(-1)};
}

std::string first_header(const HttpReply& reply, const char* name) {
  const auto found = reply.first.find(name);
  return found == reply.first.end() ? "" : found->second;
}

}  // namespace

void Meter::add(int64_t bytes) {
  const std::lock_guard lock(mutex_);
  done_ += bytes;
  if (report_) report_(done_, total_);
}

struct Transfer::Reception {
  size_t piece;
  int64_t begin;         // where its first byte belongs
  int64_t at;            // where its next byte that is not written yet belongs
  bool ranged;           // a part was asked for
  bool taking = false;   // the body is a part of the file, not an error's text
  bool ignored = false;  // the server knew ranges before, and not now
  int64_t dropped = 0;
  std::vector<std::byte> held = {};  // bytes from `at`
  std::chrono::steady_clock::time_point written = std::chrono::steady_clock::now();
  std::exception_ptr fault = nullptr;  // curl's callbacks must not throw
};

Transfer::Transfer(const Source& source, Partial& partial, const Settings& settings, Meter& meter)
    : source_(source),
      partial_(partial),
      settings_(settings),
      meter_(meter),
      digest_(Digest::kind_of(source.etag), source.size) {}

template <class Work>
void Transfer::guarded(Work&& work) {
  try {
    work();
  } catch (...) {
    const std::lock_guard lock(mutex_);
    if (!error_) error_ = std::current_exception();
    stop_ = true;
  }
  changed_.notify_all();
}

std::string Transfer::run(Connections connections) {
  const size_t pieces = partial_.pieces().size();
  std::vector<std::thread> threads;
  for (size_t i = 1; i < std::min(connections.size(), pieces); ++i)
    if (!add_thread(threads, [this, &http = *connections[i]] { guarded([&] { work(http); }); })) break;
  const bool hashing = pieces > 1 && add_thread(threads, [this] { guarded([&] { hash(); }); });
  guarded([&] { work(*connections[0]); });
  for (std::thread& thread : threads) thread.join();
  if (!hashing && !error_) hash();
  if (error_) std::rethrow_exception(error_);
  return digest_.finish();
}

void Transfer::work(Http& http) {
  while (const auto piece = take()) {
    fetch(http, *piece);
    const std::lock_guard lock(mutex_);
    asking_ = false;
  }
}

// The next piece that nobody has. While nobody knows whether the server can do ranges, one connection finds out.
std::optional<size_t> Transfer::take() {
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [&] { return stop_ || ranges_ != Ranges::unknown || !asking_; });
  if (stop_ || ranges_ == Ranges::no) return std::nullopt;
  const auto& pieces = partial_.pieces();
  while (next_ < pieces.size() && pieces[next_].complete()) ++next_;
  if (next_ == pieces.size()) return std::nullopt;
  asking_ = true;
  return next_++;
}

void Transfer::fetch(Http& http, size_t piece) {
  Patience patience(6, [this] { return stop_.load(); });
  while (!stop_) {
    const int64_t before = piece_of(piece).done;
    HttpReply reply = ask(http, piece);
    const Partial::Piece now = piece_of(piece);
    if (now.complete() || stop_) return;
    const bool good = reply.status == 200 || reply.status == 206;
    if (reply.refused || (!good && !is_passing(reply))) refuse(reply, source_.what, settings_);
    if (good && reply.problem.empty()) reply.problem = "the connection ended early";
    if (now.done > before) patience.progress();
    patience.wait(reply,
                  fmt::format("{}: the download stopped at byte {} of {}", source_.what, now.begin + now.done, source_.size));
  }
}

Partial::Piece Transfer::piece_of(size_t piece) {
  const std::lock_guard lock(mutex_);
  return partial_.pieces()[piece];
}

// `piece` becomes 0 where the server turns out to know no ranges.
HttpReply Transfer::ask(Http& http, size_t& piece) {
  const Partial::Piece p = piece_of(piece);
  Reception reception{
      .piece = piece, .begin = p.begin + p.done, .at = p.begin + p.done, .ranged = p.begin + p.done > 0 || p.end < source_.size};
  HttpRequest request{.url = source_.url};
  if (reception.ranged) request.range = fmt::format("{}-{}", reception.at, p.end - 1);
  const auto quietly = [&](auto&& step) {
    try {
      return step();
    } catch (...) {
      reception.fault = std::current_exception();
      return false;
    }
  };
  request.on_head = [&](const HttpReply& reply) { return quietly([&] { return accept(reply, reception); }); };
  request.on_body = [&](std::span<const std::byte> bytes) { return quietly([&] { return store(bytes, reception); }); };
  HttpReply reply = http.send(request);
  if (!reception.fault) quietly([&] { return keep(reception), true; });
  if (reception.fault) std::rethrow_exception(reception.fault);
  if (reception.ignored) {
    reply.stopped = false;
    reply.problem = "the server sends the whole file where a part was asked for";
  }
  piece = reception.piece;
  return reply;
}

bool Transfer::accept(const HttpReply& reply, Reception& reception) {
  if (reply.status != 200 && reply.status != 206) return true;
  check_etag(reply);
  check_length(reply, reception.at);
  const std::lock_guard lock(mutex_);
  if (reply.status == 206) ranges_ = Ranges::yes;
  if (reply.status == 200 && reception.ranged) {
    reception.ignored = ranges_ == Ranges::yes;
    if (reception.ignored) return false;
    ranges_ = Ranges::no;  // everything comes, from the start
    meter_.add(-partial_.done());
    partial_.restart_whole();
    reception.piece = 0;
    reception.begin = reception.at = 0;
  }
  reception.taking = true;
  changed_.notify_all();
  return true;
}

bool Transfer::store(std::span<const std::byte> bytes, Reception& reception) {
  if (stop_) return false;
  if (!reception.taking) return (reception.dropped += int64_t(bytes.size())) < kMostErrorText;
  std::vector<std::byte>& held = reception.held;
  const int64_t end = piece_of(reception.piece).end;
  if (int64_t(held.size() + bytes.size()) > end - reception.at) take_back(reception, end);
  if (held.empty()) held.reserve(std::min(kHeld + bytes.size(), size_t(end - reception.at)));
  held.insert(held.end(), bytes.begin(), bytes.end());
  if (held.size() >= kHeld || std::chrono::steady_clock::now() - reception.written >= kHeldFor) keep(reception);
  return true;
}

// Writes what is held.
void Transfer::keep(Reception& reception) {
  const auto bytes = int64_t(reception.held.size());
  if (bytes == 0) return;
  partial_.write(reception.at, reception.held);
  reception.at += bytes;
  reception.held.clear();
  {
    const std::lock_guard lock(mutex_);
    partial_.advance(reception.piece, bytes);
  }
  changed_.notify_all();
  meter_.add(bytes);
  reception.written = std::chrono::steady_clock::now();
}

// The server sends more than the piece has: nothing that this reply brought is believed.
void Transfer::take_back(const Reception& reception, int64_t end) {
  {
    const std::lock_guard lock(mutex_);
    partial_.advance(reception.piece, reception.begin - reception.at);
  }
  fail(ErrorCode::corrupt, "{}: the hub sends more than the bytes up to {} that it was asked for; nothing of it is kept",
       source_.what, end);
}

// The same file may lie on many hosts; what the hub itself calls it must not change on the way. Other hosts' own ETags say
// nothing.
void Transfer::check_etag(const HttpReply& reply) const {
  std::string etag = clean_etag(first_header(reply, "x-linked-etag"));
  if (etag.empty() && !reply.first.contains("location")) etag = clean_etag(first_header(reply, "etag"));
  if (etag.empty() || Digest::kind_of(etag) != Digest::kind_of(source_.etag)) return;
  require(etag == source_.etag, ErrorCode::corrupt,
          "{}: the hub sends another file (ETag {}) than it lists ({}); nothing of it is kept, try again", source_.what, etag,
          source_.etag);
}

void Transfer::check_length(const HttpReply& reply, int64_t from) const {
  std::optional<int64_t> total = integer(reply.header("content-length"));
  if (reply.status == 206) {
    const auto range = content_range(reply.header("content-range"));
    require(range && range->begin == from, ErrorCode::corrupt,
            "{}: the hub was asked for bytes from {} and sends \"{}\"; nothing of it is kept", source_.what, from,
            reply.header("content-range").substr(0, 100));
    total = range->total >= 0 ? std::optional(range->total) : std::nullopt;
  }
  require(!total || *total == source_.size, ErrorCode::corrupt,
          "{}: it has {} bytes on the hub's list and {} on the way; nothing of it is kept", source_.what, source_.size,
          total.value_or(0));
}

int64_t Transfer::ready_from(int64_t at) {
  for (const Partial::Piece& piece : partial_.pieces())
    if (at >= piece.begin && at < piece.end) return std::max<int64_t>(piece.begin + piece.done - at, 0);
  return 0;
}

void Transfer::hash() {
  std::vector<std::byte> buffer(kHashStep);
  for (int64_t at = 0; at < source_.size;) {
    int64_t ready = 0;
    {
      std::unique_lock lock(mutex_);
      while (!stop_ && (ready = ready_from(at)) == 0) changed_.wait_for(lock, kLook);
    }
    if (stop_) return;
    const auto bytes = std::span(buffer).first(size_t(std::min(ready, int64_t(kHashStep))));
    partial_.read(at, bytes);
    digest_.add(bytes);
    partial_.flush_soon(at, int64_t(bytes.size()));
    at += int64_t(bytes.size());
  }
}

}  // namespace gale::hub
