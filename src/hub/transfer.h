#pragma once
#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <exception>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <system_error>
#include <thread>
#include <vector>

#include "hub/digest.h"
#include "hub/http.h"
#include "hub/partial.h"
#include "hub/settings.h"

namespace gale::hub {

/// A file to download.
struct Source {
  std::string what;  ///< "org/name: file", for messages
  std::string url, etag;
  int64_t size = 0;
};

/// Counts bytes for all downloads of a run; any thread may add.
class Meter {
 public:
  using Report = std::function<void(int64_t done, int64_t total)>;
  Meter(int64_t total, Report report) : total_(total), report_(std::move(report)) {}
  void add(int64_t bytes);

 private:
  std::mutex mutex_;
  int64_t total_, done_ = 0;
  Report report_;
};

/// Starts `work` on a thread of its own. False where the system has no thread left: what it would do is left to those that run.
template <class Work>
bool add_thread(std::vector<std::thread>& threads, Work work) {
  threads.reserve(threads.size() + 1);
  try {
    threads.emplace_back(std::move(work));
    return true;
  } catch (const std::system_error&) {
    return false;
  }
}

using Connections = std::span<const std::unique_ptr<Http>>;

/// All connections' work on one partial file, piece by piece, while one thread follows them and hashes what is complete.
class Transfer {
 public:
  Transfer(const Source& source, Partial& partial, const Settings& settings, Meter& meter);
  /// Returns the hash of all bytes, "" where the etag is none. Throws the first error of any connection.
  std::string run(Connections connections);

 private:
  enum class Ranges : uint8_t { unknown, yes, no };  // whether the server knows them
  struct Reception;                                  // one reply on its way into a piece

  template <class Work>
  void guarded(Work&& work);
  void work(Http& http);
  std::optional<size_t> take();
  void fetch(Http& http, size_t piece);
  HttpReply ask(Http& http, size_t& piece);
  Partial::Piece piece_of(size_t piece);
  bool accept(const HttpReply& reply, Reception& reception);
  bool store(std::span<const std::byte> bytes, Reception& reception);
  void keep(Reception& reception);
  [[noreturn]] void take_back(const Reception& reception, int64_t end);
  void check_etag(const HttpReply& reply) const;
  void check_length(const HttpReply& reply, int64_t from) const;
  void hash();
  int64_t ready_from(int64_t at);

  const Source& source_;
  Partial& partial_;
  const Settings& settings_;
  Meter& meter_;
  Digest digest_;
  std::mutex mutex_;  // of partial_'s pieces and of all below
  std::condition_variable changed_;
  Ranges ranges_ = Ranges::unknown;
  bool asking_ = false;  // a connection is finding out about ranges
  size_t next_ = 0;
  std::exception_ptr error_;
  std::atomic<bool> stop_{false};
};

}  // namespace gale::hub
